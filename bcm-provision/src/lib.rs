//! Machines out of nothing.
//!
//! [`install`] makes the answers for unattended installations of Ubuntu and Debian; [`vm`] makes virtual
//! machines that are then reached over SSH as any other host. [`seed`] writes the small volumes that installers and
//! cloud-init read their answers from, [`initrd`] the archives that come after an installer's own, [`cloud_init`]
//! what cloud-init is told. [`password`] takes hashes, never passwords; [`yaml`] is what answers are written in.

pub mod cloud_init;
pub mod initrd;
pub mod install;
pub mod password;
pub mod seed;
pub mod vm;
pub mod yaml;
