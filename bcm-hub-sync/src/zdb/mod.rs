//! 0-db's protocol, both sides.
//!
//! 0-db is the key–value store that holds the blocks of flists. It speaks RESP2, the protocol of
//! Redis, on port 9900. [`client`] reads from one; [`server`] answers as one out of any
//! [`BlockStore`](crate::store::BlockStore), for reading only: there is no code path from the
//! network into the store. [`resp`] is the wire format and [`command`] what a request means; both
//! are pure.
//!
//! The protocol's facts are those of 0-db 2.0.7; its recorded answers are replayed against the
//! server in the tests.

pub mod address;
pub mod client;
pub mod command;
pub mod resp;
pub mod server;

pub use address::ZdbAddress;

/// The longest key that 0-db takes, in bytes.
pub const MAX_KEY: usize = 255;

/// The largest number of arguments of one request, its name included.
pub const MAX_ARGUMENTS: usize = 1024;
