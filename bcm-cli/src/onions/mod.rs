//! The machines that are reached as onion services, and what that takes.
//!
//! In `$XDG_STATE_HOME/bcm/onion`, which only the user may enter: `hosts.json` (names and addresses),
//! `auth/NAME.auth_private` (clients' keys, nowhere else), `ssh_config`, and `tor/` with the data of
//! a Tor of the user's own.

mod name;
mod ssh_config;
mod store;
mod tor;

pub(crate) use name::OnionName;
pub(crate) use ssh_config::config_file;
pub(crate) use store::{Onion, OnionError, Onions, Through};
pub(crate) use tor::{TOR_HINT, keep, own_tor, ready, socks_of};
