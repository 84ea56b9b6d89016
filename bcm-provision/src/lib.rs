//! Machines out of nothing.
//!
//! [`seed`] writes the small volumes that installers and cloud-init read their answers from.

pub mod seed;
