//! The Cap'n Proto messages of the format, as generated code.
//!
//! `flist_capnp.rs` is checked in so that a build needs no Cap'n Proto compiler. It is made from
//! `flist.capnp` by `capnp` and the `capnpc-rust` plugin (crate `capnpc`, of the same version as
//! the `capnp` crate in the workspace), in this folder:
//!
//! ```text
//! cargo install capnpc --version 0.27.0
//! capnp compile -o rust flist.capnp
//! ```
//!
//! It is kept as generated: rustfmt skips it, and it is exempt from the lints that are about
//! hand-written code.

#[rustfmt::skip]
#[allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_qualifications,
    reason = "generated code"
)]
pub(super) mod flist_capnp;
