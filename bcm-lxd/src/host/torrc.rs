//! Settings of BCM's own for a machine's Tor.

/// Functions for scripts that change them. They call a function `refuse` of the script.
pub(super) const TORRC: &str = include_str!("torrc.sh");
