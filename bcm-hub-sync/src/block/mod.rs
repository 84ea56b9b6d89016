//! Content blocks: their keys and how plain text becomes one.

pub mod codec;
mod key;
mod snappy;

pub use key::{BlockKey, InvalidKey};
