//! A typed client for LXD (5.0 to 6.x) and Incus (6.x).
//!
//! The API is reached through the daemon's unix socket only: the one on this machine, or one that
//! was forwarded from another machine over SSH. Nothing here needs an open port, a trust password
//! or a stored certificate.
//!
//! The entry point is [`Client`]; the calls are grouped by noun in [`api`]. Where LXD and Incus
//! differ, [`Flavour`] says how.
//!
//! What it is not: a client for every call of the API. It has those that a cluster and the
//! applications on it need.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bcm_lxd::{Client, UnixSocket};
//!
//! let client = Client::connect(UnixSocket::new("/var/lib/lxd/unix.socket")).await?;
//! for member in client.cluster_members().await? {
//!     println!("{} {}", member.server_name, member.status);
//! }
//! # Ok(()) }
//! ```

pub mod api;
mod client;
pub mod cluster;
mod error;
mod events;
mod flavour;
pub mod host;
pub mod image;
mod operation;
mod request;
mod response;
mod transport;
pub mod types;

pub use client::{Client, ClientOptions};
pub use error::{ApiError, LxdError};
pub use events::{Event, EventStream};
pub use flavour::{Flavour, SOCKETS};
pub use operation::{OperationHandle, WaitError};
pub use request::{Body, Request};
pub use transport::{Connecting, Connection, Transport, UnixSocket};
