//! Content blocks: their keys and how plain text becomes one.

pub mod codec;
mod key;

pub use key::{BlockKey, InvalidKey};
