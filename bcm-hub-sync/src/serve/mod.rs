//! The hub's HTTP API and pages, over a published tree.
//!
//! ```no_run
//! use bcm_hub_sync::flist::Backend;
//! use bcm_hub_sync::layout::Layout;
//! use bcm_hub_sync::serve::{HubServer, ServeOptions};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example(backend: Backend) -> Result<(), bcm_hub_sync::serve::ServeError> {
//! let listen = vec!["0.0.0.0:8080".parse().unwrap(), "[::]:8080".parse().unwrap()];
//! let options = ServeOptions::new(Layout::new("/srv/bcm"), listen, backend);
//! let server = HubServer::bind(options).await?;
//! server.run(CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! How it is built:
//! - `route` turns a path into checked names, once; nothing after it handles paths.
//! - `watch` keeps a `snapshot` of the tree in memory, and swaps it when the
//!   tree changed. Each request sees one snapshot. When a file on the disk is not the one that the
//!   snapshot saw, the request is answered from a newer snapshot instead.
//! - `writing` takes what is published in a hub that stands alone, for the holders of tokens. A mirror has
//!   none of it. Nothing else here writes into the tree, and no link in it is followed by the operating
//!   system.
//!
//! The routes are matched by hand instead of by a router, because the rules are unusual: names may
//! have any character but a slash, `%2F` must not become one, and there is a method `INFO`.

mod api;
mod app;
mod checksums;
mod failure;
mod files;
mod inspect;
mod json;
mod listing;
mod metrics;
mod options;
mod pages;
mod response;
mod route;
mod server;
mod snapshot;
mod watch;
mod writing;

#[cfg(test)]
mod tests;

pub use bcm_core::serve::{MetricsServer, MetricsSource, ServeError, ServeLimits};
pub use metrics::CountedStore;
pub use options::ServeOptions;
pub use server::{HubServer, Refresher};
pub use writing::{OpenStore, PublishOptions};

// What every server of BCM is made of.
use bcm_core::serve::{body, condition, rendered, workers};
