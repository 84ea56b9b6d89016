//! Serves a Bootstrap from a folder: `FOLDER/bootstrap/kernels/NAME`, and links `net/MODE.efi` there.
//!
//! ```text
//! cargo run -p bcm-examples --example serve_bootstrap -- ./mirror 127.0.0.1:8081
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve_bootstrap DATA-FOLDER ADDRESS".into());
    };
    let options = ServeOptions::new(Layout::new(data), vec![address.parse()?]);
    let server = BootstrapServer::bind(options)?;
    for address in server.local_addrs() {
        println!("http://{address}/");
    }
    let cancel = CancellationToken::new();
    let ended = server.run(cancel.clone());
    tokio::pin!(ended);
    tokio::select! {
        () = &mut ended => {}
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            ended.await;
        }
    }
    Ok(())
}
