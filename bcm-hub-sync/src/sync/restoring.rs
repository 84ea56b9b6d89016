//! The parts of a sync that restoring a snapshot and publishing by hand work with, too.

use std::path::Path;

use super::error::{Stop, SyncError};
use super::stage;
use crate::flist::Limits;
use crate::layout::Layout;
use crate::store::BlockStore;

pub(crate) use super::stage::clean as clean_staging;
pub(crate) use super::stage::open as open_staging;
pub(crate) use super::stage::scratch;
pub(crate) use super::stage::{Missing, StagedName};

/// How many references of the flist `path` lead to no block in `store`; or what is wrong with it.
pub(crate) fn lacking_blocks(
    layout: &Layout,
    path: &Path,
    limits: &Limits,
    store: &dyn BlockStore,
) -> Result<Result<u64, String>, SyncError> {
    let missing = missing_blocks(layout, path, limits, store)?;
    Ok(missing.map(|missing| missing.count))
}

/// Which blocks of the flist `path` are not in `store`; or what is wrong with it.
pub(crate) fn missing_blocks(
    layout: &Layout,
    path: &Path,
    limits: &Limits,
    store: &dyn BlockStore,
) -> Result<Result<Missing, String>, SyncError> {
    match stage::check_blocks(path, limits, &stage::scratch(layout), store) {
        Ok(missing) => Ok(Ok(missing)),
        Err(Stop::Entry(reason)) => Ok(Err(reason)),
        Err(Stop::All(error)) => Err(error),
    }
}
