//! The Bootstrap's HTTP API and pages, over a folder of kernels.
//!
//! ```no_run
//! use bcm_bootstrap_sync::layout::Layout;
//! use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), bcm_bootstrap_sync::serve::ServeError> {
//! let listen = vec!["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()];
//! let options = ServeOptions::new(Layout::new("/srv/bcm"), listen);
//! let server = BootstrapServer::bind(options)?;
//! server.run(CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! The folder may also be one that an upstream made: kernels, and `net/MODE.efi` as links or files.
//! It is read anew when it may have changed; nothing here writes into it, and no link in it is
//! followed by the operating system.

mod answers;
mod app;
mod options;
mod pages;
mod route;
mod server;
mod snapshot;

pub use bcm_core::serve::{MetricsServer, MetricsSource, ServeError, ServeLimits};
pub use options::{InvalidProvision, Mac, Provision, ServeOptions};
pub use server::BootstrapServer;
