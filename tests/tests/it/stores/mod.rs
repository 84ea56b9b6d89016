//! Stores that need a server: the suite that every store must pass, over 0-db's wire.

mod routed;
mod zdb;

/// The suite is the library's own, which it puts its other stores through.
#[path = "../../../../bcm-hub-sync/src/store/conformance.rs"]
#[allow(dead_code, reason = "the library's other stores use more of it")]
mod conformance;

pub(crate) use bcm_hub_sync::block::BlockKey;
pub(crate) use bcm_hub_sync::store::{
    BlockInfo, BlockStore, Cursor, Direction, StoreError, VerifiedBlock,
};
