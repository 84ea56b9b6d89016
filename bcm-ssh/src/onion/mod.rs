//! What it takes to reach a machine's SSH as a Tor onion service of version 3 that lets only
//! authorised clients find it.
//!
//! [`OnionAddress`] is where, [`ClientKey`] what opens it, [`socks`] asks a Tor to connect, and
//! [`tor`] is a Tor of the user's own, for machines whose system's Tor is nobody's business here.

mod address;
mod client_key;
pub mod socks;
pub mod tor;

pub use address::{InvalidOnionAddress, OnionAddress};
pub use client_key::{ClientKey, ClientPublicKey, InvalidClientKey};

/// How a line begins in which a `ProxyCommand` says why it found no way, for
/// [`ConnectError::Proxy`](crate::ConnectError::Proxy).
pub const PROXY_SAYS: &str = "bcm-proxy: ";
