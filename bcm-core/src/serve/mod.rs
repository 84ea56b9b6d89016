//! What BCM's HTTP servers are made of, whatever they serve.
//!
//! [`Listeners`] take connections within [`ServeLimits`] and hand each request to a [`Handler`], which
//! makes an answer from the parts here:
//! - [`path`] splits and decodes a path once; [`response`] has the headers that every answer has, and
//!   errors; [`rendered`] keeps an answer in both encodings; [`json`] writes what upstream writes.
//! - [`condition`] decides on conditional and ranged requests; [`mod@file`] answers with a file; [`body`]
//!   sends one in pieces, so that memory does not grow with its size.
//! - [`workers`] run what blocks, a bounded number at a time.
//! - [`metrics`] writes what Prometheus reads; [`MetricsServer`] answers with it at an address of its own.
//! - [`pages`] frame what people see: made on the server, without script.
//!
//! Nothing here reads a request's body; a handler that does not either cannot be written to over the
//! network.

mod apart;
pub mod body;
pub mod condition;
pub mod file;
mod guard;
pub mod json;
mod limits;
mod listen;
pub mod metrics;
pub mod pages;
pub mod path;
mod places;
pub mod rendered;
pub mod response;
pub mod workers;

pub use apart::{MetricsServer, MetricsSource};
pub use limits::ServeLimits;
pub use listen::{Handler, Listeners, ServeError};
