//! Machines out of nothing.
//!
//! [`install`] makes the answers for unattended installations of Ubuntu and Debian; [`seed`] the small volumes
//! that installers and cloud-init read their answers from, [`initrd`] the archives that come after an installer's own.
//! [`password`] takes hashes, never passwords; [`yaml`] is what answers are written in.

pub mod initrd;
pub mod install;
pub mod password;
pub mod seed;
pub mod yaml;
