//! The catalogue of an upstream hub.
//!
//! [`request`] says what to ask for and [`parse`] what an answer means; both are pure.
//! [`Upstreams`] does the asking: several servers, retries, and so many requests at a time.
//! [`list()`] puts a whole catalogue together.

mod error;
mod hub;
pub mod list;
mod md5;
pub mod parse;
pub mod request;
mod scalar;

pub use error::UpstreamError;
pub use hub::{Download, Upstreams};
pub use list::{ListError, Listed, list};
pub use parse::{MAX_NAMED, ParseError, Refusals, Refused};
