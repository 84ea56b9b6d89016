//! An independent mirror of a Zero-OS Hub.
//!
//! A hub serves *flists* (small archives that describe a file tree) over HTTP and the *blocks*
//! that the files are made of from a 0-db. This crate copies both, verifies every byte, and
//! serves them in the hub's own protocols.
//!
//! A mirror can be cut off from its upstream, and a hub can begin empty; into these an operator
//! publishes. What it is not: a tool for mounting flists.
//!
//! Each part is usable alone:
//! - [`flist`]: read, unpack and make flists;
//! - [`catalog`]: what a hub lists, what a mirror holds, and the difference;
//! - [`block`] and [`store`]: content blocks and where they are kept;
//! - [`zdb`]: 0-db's protocol, both sides;
//! - [`sync`]: makes a local mirror equal to its upstream;
//! - [`mode`]: whether a hub follows an upstream or stands alone;
//! - [`publishing`]: what an operator publishes in a hub that stands alone;
//! - [`tokens`]: who may publish there over the network;
//! - [`serve`]: the hub's HTTP API and pages;
//! - [`snapshots`]: points that a mirror can be taken back to;
//! - [`gc`]: gives back the room of blocks that nothing needs any more;
//! - [`verify`]: proves that a mirror is whole.

pub mod block;
pub mod catalog;
pub mod flist;
mod folder;
pub mod gc;
pub mod layout;
pub mod mode;
pub mod publishing;
mod scratch;
pub mod serve;
pub mod snapshots;
pub mod store;
pub mod sync;
pub mod tokens;
pub mod verify;
pub mod zdb;
