//! Mirrors one repository of a hub, with every block its flists name, into a data folder.
//!
//! ```text
//! cargo run -p bcm-examples --example mirror_repository -- https://hub.grid.tf tf-zos ./mirror
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::sync::Arc;

use bcm_core::progress;
use bcm_hub_sync::catalog::selection::Selection;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::sync::{SyncConfig, sync};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [hub, repository, data] = arguments.as_slice() else {
        return Err("usage: mirror_repository HUB-URL REPOSITORY DATA-FOLDER".into());
    };

    let mut config = SyncConfig::new(vec![hub.parse()?]);
    // Links lead out of the repository; what they lead to is mirrored as well.
    config.selection = Selection::new(&[repository], &["*"], None)?;

    let layout = Layout::new(data);
    std::fs::create_dir_all(layout.hub())?;
    let store = Arc::new(EmbeddedStore::open(layout.blocks(), Access::ReadWrite)?);
    let report = sync(
        &layout,
        &config,
        store,
        progress::none(),
        CancellationToken::new(),
    )
    .await?;

    println!(
        "{} new and {} changed flists, {} blocks ({} bytes) from {}",
        report.counts.flists_new,
        report.counts.flists_changed,
        report.counts.blocks,
        report.counts.block_bytes,
        report.upstream,
    );
    for refused in report.refused.iter().chain(&report.deferred) {
        println!("not mirrored: {}: {}", refused.subject, refused.reason);
    }
    Ok(())
}
