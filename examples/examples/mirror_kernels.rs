//! Mirrors the kernels of a Bootstrap into a folder, with what its run modes lead to.
//!
//! ```text
//! cargo run -p bcm-examples --example mirror_kernels -- https://bootstrap.grid.tf ./mirror
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::sync::{SyncConfig, sync};
use bcm_core::progress;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(upstream), Some(data)) = (arguments.next(), arguments.next()) else {
        return Err("usage: mirror_kernels UPSTREAM-URL DATA-FOLDER".into());
    };
    let mut config = SyncConfig::new(vec![upstream.parse()?]);
    // The three newest, and what run modes lead to, however old that is.
    config.policy.newest = Some(3);
    let layout = Layout::new(data);
    let report = sync(&layout, &config, progress::none(), CancellationToken::new()).await?;
    for name in &report.new {
        println!("new: {name}");
    }
    for moved in &report.moved {
        println!("{} boots {}", moved.mode, moved.to);
    }
    for refused in &report.refused {
        println!("refused: {}: {}", refused.subject, refused.reason);
    }
    Ok(())
}
