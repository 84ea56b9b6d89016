//! The DNS records of a mirror: which there have to be, and whether there are.

mod compare;
mod record;
#[cfg(feature = "resolve")]
pub mod resolve;

pub use self::compare::{Checked, Lookup, NameCheck, compare};
pub use self::record::{Form, Kind, Record, is_public, records};
