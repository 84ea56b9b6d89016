//! How much room a mirror will need, before there is one.

use bcm_core::cause::chain;
use bcm_core::progress::Progress;
use serde::Serialize;

use super::config::{BlockMode, SyncConfig};
use super::error::SyncError;
use super::plan::now;
use crate::catalog::selection::{Selection, choose};
use crate::catalog::upstream::{Upstreams, list};
use crate::catalog::{Catalog, Entry};
use crate::zdb::ZdbAddress;
use crate::zdb::client::{ClientError, ClientOptions, ZdbClient};

/// About how much a mirror will hold after its first sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The hub that the catalogue came from.
    pub upstream: String,
    /// The flists that would be mirrored.
    pub flists: Flists,
    /// Bytes of their blocks; `None` where no 0-db said how much it has.
    pub block_bytes: Option<u64>,
    /// Why the blocks' bytes are not known: one reason a 0-db.
    pub unknown: Vec<String>,
}

impl Estimate {
    /// Bytes of all that is known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let blocks = self.block_bytes.unwrap_or(0);
        self.flists.bytes.saturating_add(blocks)
    }
}

/// How many flists there are in a catalogue, and how large they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Flists {
    /// How many.
    pub count: u64,
    /// Bytes of all whose size is listed.
    pub bytes: u64,
}

impl Flists {
    /// Those of `catalog`.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let mut flists = Self::default();
        for (_, entry) in catalog.entries() {
            if let Entry::Regular(file) = entry {
                flists.count += 1;
                flists.bytes = flists.bytes.saturating_add(file.bytes().unwrap_or(0));
            }
        }
        flists
    }
}

/// Bytes of the blocks of `chosen`, of a hub that has `all` flists and `stored` bytes of blocks: as large
/// a part of the blocks as the chosen flists are of all. An flist names each of its blocks, so that it is
/// the larger the more it has. `None` where it cannot be told.
#[must_use]
pub fn block_bytes(
    blocks: BlockMode,
    stored: Option<u64>,
    chosen: Flists,
    all: Flists,
) -> Option<u64> {
    match blocks {
        BlockMode::None => Some(0),
        BlockMode::All => stored,
        BlockMode::Closure if chosen.count == 0 => Some(0),
        BlockMode::Closure => {
            let stored = stored?;
            let share = u128::from(stored) * u128::from(chosen.bytes);
            let share = share.checked_div(u128::from(all.bytes))?;
            Some(u64::try_from(share).map_or(stored, |share| share.min(stored)))
        }
    }
}

/// Asks the first upstream that answers for its catalogue and the first 0-db that answers for how much it
/// has, and says how much a new mirror by `config` will about hold. Nothing is fetched or written.
///
/// It takes as long as the time-outs and tries of `config` let it. Dropping the future does no harm.
///
/// # Errors
/// No upstream could be listed. A 0-db that does not answer is no error: see [`Estimate::block_bytes`].
pub async fn estimate(config: &SyncConfig, progress: &dyn Progress) -> Result<Estimate, SyncError> {
    if config.upstreams.is_empty() {
        return Err(SyncError::NoUpstream);
    }
    let upstreams = Upstreams::new(
        config.upstreams.clone(),
        config.http.clone(),
        config.retry.clone(),
        config.parallel,
    )
    .map_err(SyncError::Client)?;
    // The whole is needed only to know how large a part of it is chosen.
    let to_list = match config.blocks {
        BlockMode::Closure => Selection::default(),
        BlockMode::All | BlockMode::None => config.selection.clone(),
    };
    let (listed, stored) =
        tokio::join!(list(&upstreams, &to_list, now(), progress), stored(config));
    let (listed, (stored, unknown)) = (listed?, stored);
    let chosen = Flists::of(&choose(&listed, &config.selection).catalog);
    let all = Flists::of(&listed.catalog);
    Ok(Estimate {
        upstream: upstreams.name(listed.hub),
        flists: chosen,
        block_bytes: block_bytes(config.blocks, stored, chosen, all),
        unknown,
    })
}

/// Bytes of the blocks that the first 0-db that says so has, or why none says it.
async fn stored(config: &SyncConfig) -> (Option<u64>, Vec<String>) {
    let mut unknown = Vec::new();
    if config.blocks == BlockMode::None {
        return (None, unknown);
    }
    for address in config.block_sources() {
        match stored_at(&address, &config.fetch.client).await {
            Ok(Some(bytes)) => return (Some(bytes), Vec::new()),
            Ok(None) => unknown.push(format!(
                "0-db {} does not say how much it has",
                address.authority()
            )),
            Err(error) => unknown.push(chain(&error)),
        }
    }
    (None, unknown)
}

async fn stored_at(
    address: &ZdbAddress,
    options: &ClientOptions,
) -> Result<Option<u64>, ClientError> {
    let mut client = ZdbClient::connect(address, options).await?;
    let info = client.namespace_info(address.namespace()).await?;
    let field = info.iter().find(|(field, _)| field == "data_size_bytes");
    Ok(field.and_then(|(_, value)| value.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flists(count: u64, bytes: u64) -> Flists {
        Flists { count, bytes }
    }

    #[test]
    fn blocks_are_as_large_a_part_as_the_flists_are() {
        let share = |chosen, all| block_bytes(BlockMode::Closure, Some(1000), chosen, all);
        assert_eq!(share(flists(1, 25), flists(4, 100)), Some(250));
        assert_eq!(share(flists(4, 100), flists(4, 100)), Some(1000));
        assert_eq!(share(flists(0, 0), flists(4, 100)), Some(0));
        let huge = flists(2, u64::MAX);
        let all = block_bytes(BlockMode::Closure, Some(u64::MAX), huge, huge);
        assert_eq!(all, Some(u64::MAX));
    }

    #[test]
    fn other_modes_need_all_or_nothing() {
        let (chosen, all) = (flists(1, 25), flists(4, 100));
        assert_eq!(block_bytes(BlockMode::All, Some(7), chosen, all), Some(7));
        assert_eq!(block_bytes(BlockMode::None, Some(7), chosen, all), Some(0));
        assert_eq!(block_bytes(BlockMode::None, None, chosen, all), Some(0));
    }

    #[test]
    fn what_nobody_says_is_not_known() {
        let (chosen, all) = (flists(1, 25), flists(4, 100));
        assert_eq!(block_bytes(BlockMode::All, None, chosen, all), None);
        assert_eq!(block_bytes(BlockMode::Closure, None, chosen, all), None);
        let unsized_flists = flists(3, 0);
        let share = block_bytes(BlockMode::Closure, Some(9), unsized_flists, unsized_flists);
        assert_eq!(share, None);
    }
}
