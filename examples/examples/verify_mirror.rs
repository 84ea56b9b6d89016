//! Verifies a mirror to the last byte, also while it is serving or syncing.
//!
//! ```text
//! cargo run -p bcm-examples --example verify_mirror -- ./mirror
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::sync::Arc;

use bcm_core::progress;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::verify::{VerifyOptions, verify};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(data) = std::env::args().nth(1) else {
        return Err("usage: verify_mirror DATA-FOLDER".into());
    };
    let layout = Layout::new(data);
    let store = Arc::new(EmbeddedStore::open(layout.blocks(), Access::ReadOnly)?);
    let report = verify(
        &layout,
        store,
        &VerifyOptions::default(),
        progress::none(),
        CancellationToken::new(),
    )
    .await?;

    println!("{} blocks, {} flists", report.blocks, report.flists);
    for block in &report.damaged_blocks.first {
        println!("damaged block {}: {}", block.key, block.reason);
    }
    for flist in &report.damaged_flists.first {
        println!("damaged flist {}: {}", flist.place, flist.reason);
    }
    if report.is_clean() {
        println!("the mirror is whole");
        Ok(())
    } else {
        Err("the mirror is damaged".into())
    }
}
