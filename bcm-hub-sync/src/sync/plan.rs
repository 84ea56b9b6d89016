//! From what is there, here and upstream, to what is to be done. A dry run ends here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_core::deletion::Guard;
use bcm_core::names::RepoName;
use bcm_core::progress::{Level, Progress};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::config::{BlockMode, SyncConfig};
use super::error::SyncError;
use super::report::{Refusals, Refused, SyncOutcome};
use super::state::State;
use crate::catalog::diff::{Diff, DiffOptions, FlistChange, Reason, diff};
use crate::catalog::local::{self, LocalScan};
use crate::catalog::selection::{Wanted, choose};
use crate::catalog::upstream::{Upstreams, list};
use crate::catalog::{FlistRef, Item, LinkTarget, TagRef};
use crate::layout::Layout;
use crate::store::BlockStore;

/// What a sync would do now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The hub that the catalogue came from.
    pub upstream: String,
    /// Repositories whose folders would be made.
    pub repositories: Vec<String>,
    /// Flists that would be fetched.
    pub flists: Vec<PlannedFlist>,
    /// Links that would be made or turned.
    pub links: Vec<PlannedLink<LinkTarget>>,
    /// Tags that would be made or replaced.
    pub tags: Vec<TagRef>,
    /// Links to tags that would be made or turned.
    pub taglinks: Vec<PlannedLink<TagRef>>,
    /// What would be deleted.
    pub deletions: Vec<Item>,
    /// Since when (seconds since 1970) upstream does not list what is kept for the time of grace.
    pub awaiting_deletion: BTreeMap<Item, i64>,
    /// How many flists are as they should be.
    pub unchanged: u64,
    /// What is refused, and why: the first [`MAX_NAMED`](super::report::MAX_NAMED).
    pub refused: Vec<Refused>,
    /// How many are refused in all.
    pub refused_total: u64,
    /// What else is worth knowing.
    pub warnings: Vec<String>,
    /// Why nothing would be deleted, where too much is missing.
    pub guard: Option<Guard>,
    /// Whether the tree is already as it should be.
    pub nothing_to_do: bool,
}

/// An flist that would be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFlist {
    /// Which.
    pub place: FlistRef,
    /// Why.
    pub reason: Reason,
    /// Its size as upstream lists it.
    pub size: String,
}

/// A link that would be made or turned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedLink<T> {
    /// Which.
    pub place: FlistRef,
    /// Where it would lead.
    pub target: T,
}

impl Plan {
    /// Whether all of upstream's catalogue could be taken.
    #[must_use]
    pub fn outcome(&self) -> SyncOutcome {
        match self.refused_total == 0 && self.guard.is_none() {
            true => SyncOutcome::Complete,
            false => SyncOutcome::Partial,
        }
    }
}

/// All that is known when the work begins.
pub(super) struct Prepared {
    pub(super) upstreams: Upstreams,
    pub(super) hub: usize,
    pub(super) listed_at: i64,
    /// `None` where the hub did not say.
    pub(super) official: Option<BTreeSet<RepoName>>,
    pub(super) wanted: Wanted,
    pub(super) local: LocalScan,
    pub(super) state: State,
    pub(super) diff: Diff,
    /// Flists whose MD5 was compared and is still the same.
    pub(super) confirmed: Vec<FlistRef>,
    pub(super) warnings: Vec<String>,
    pub(super) now: i64,
}

impl Prepared {
    pub(super) fn plan(&self) -> Plan {
        let diff = &self.diff;
        let flist = |change: &FlistChange| PlannedFlist {
            place: change.place.clone(),
            reason: change.reason,
            size: change.listed.listed_size.clone(),
        };
        Plan {
            upstream: self.upstreams.name(self.hub),
            repositories: diff.repositories.iter().map(ToString::to_string).collect(),
            flists: diff.flists.iter().map(flist).collect(),
            links: planned(&diff.links, |link| link.target.clone()),
            tags: diff.tags.iter().map(|(place, _)| place.clone()).collect(),
            taglinks: planned(&diff.taglinks, |link| link.target.clone()),
            deletions: diff.deletions.clone(),
            awaiting_deletion: diff.tombstones.clone(),
            unchanged: diff.unchanged,
            refused: self.wanted.refusals.named().to_vec(),
            refused_total: self.wanted.refusals.total(),
            warnings: self.warnings.clone(),
            guard: diff.guard.clone(),
            nothing_to_do: diff.is_empty(),
        }
    }
}

fn planned<L, T>(links: &[(FlistRef, L)], target: impl Fn(&L) -> T) -> Vec<PlannedLink<T>> {
    let one = |(place, link): &(FlistRef, L)| PlannedLink {
        place: place.clone(),
        target: target(link),
    };
    links.iter().map(one).collect()
}

/// This machine's time in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Looks at what is here and upstream and compares. Writes nothing.
pub(super) async fn prepare(
    layout: &Layout,
    config: &SyncConfig,
    store: &Arc<dyn BlockStore>,
    progress: &dyn Progress,
) -> Result<Prepared, SyncError> {
    if config.upstreams.is_empty() {
        return Err(SyncError::NoUpstream);
    }
    let now = now();
    let mut warnings = Vec::new();
    let loaded = State::load(&layout.state())?;
    if let Some(damage) = loaded.damaged {
        let path = layout.state();
        warnings.push(format!(
            "{} was damaged ({damage}): every flist is compared with upstream again",
            path.display()
        ));
    }
    let state = loaded.state;
    if let Some(snapshot) = state.held {
        return Err(SyncError::Held { snapshot });
    }
    let (scan_layout, scan_store) = (layout.clone(), Arc::clone(store));
    let (local, stats) = tokio::task::spawn_blocking(move || {
        let local = local::scan(&scan_layout)?;
        Ok::<_, SyncError>((local, scan_store.stats()?))
    })
    .await
    .map_err(SyncError::Panicked)??;
    // The state file is looked at above, with better words.
    for odd in local.odd.iter().filter(|odd| odd.path != layout.state()) {
        warnings.push(format!("{} {}", odd.path.display(), odd.reason));
    }
    let with_blocks = config.blocks != BlockMode::None;
    let lost = with_blocks && state.blocks.is_some_and(|blocks| stats.blocks < blocks);
    if lost {
        warnings.push(format!(
            "the store holds {} blocks, fewer than at the last sync: all flists are checked",
            stats.blocks
        ));
    }

    let upstreams = Upstreams::new(
        config.upstreams.clone(),
        config.http.clone(),
        config.retry.clone(),
        config.parallel,
    )
    .map_err(SyncError::Client)?;
    let listed = list(&upstreams, &config.selection, now, progress).await?;
    let mut wanted = choose(&listed, &config.selection);
    let options = DiffOptions {
        now,
        delete_after: config.delete_after,
        max_delete: config.max_delete,
        recheck_after: config.recheck_after,
        form: config.flists.form(),
        blocks: with_blocks,
        recheck_blocks: config.recheck_blocks || lost,
        pinned: config.pins.of(&local.catalog),
    };
    let mut diff = diff(&wanted, &local.catalog, &state.memory, &options);
    let mut refusals = Refusals::default();
    let confirmed = settle(&upstreams, listed.hub, &state, &mut diff, &mut refusals).await;
    wanted.refusals.merge(refusals);
    for warning in &warnings {
        progress.note(Level::Warning, warning);
    }
    Ok(Prepared {
        hub: listed.hub,
        listed_at: listed.listed_at,
        official: listed.official,
        upstreams,
        wanted,
        local,
        state,
        diff,
        confirmed,
        warnings,
        now,
    })
}

/// Asks for the MD5 where it decides. Answers with the flists that are still the same; the others
/// are added to those that are fetched.
async fn settle(
    upstreams: &Upstreams,
    hub: usize,
    state: &State,
    diff: &mut Diff,
    refusals: &mut Refusals,
) -> Vec<FlistRef> {
    let now = now();
    let doubtful = std::mem::take(&mut diff.doubtful);
    let mut answers = stream::iter(doubtful)
        .map(|(place, listed)| async move {
            let md5 = upstreams.md5_of(hub, &place, now).await;
            (place, listed, md5)
        })
        .buffer_unordered(upstreams.parallel());
    let mut confirmed = Vec::new();
    while let Some((place, listed, md5)) = answers.next().await {
        match md5 {
            Ok(md5)
                if state
                    .memory
                    .flists
                    .get(&place)
                    .is_some_and(|r| r.md5 == md5) =>
            {
                diff.unchanged += 1;
                confirmed.push(place);
            }
            Ok(_) => diff.flists.push(FlistChange {
                place,
                listed,
                reason: Reason::Md5,
            }),
            Err(error) => {
                diff.unchanged += 1;
                let reason = format!("could not be compared: {}", error.chain());
                refusals.add(None, &place.to_string(), reason);
            }
        }
    }
    drop(answers);
    diff.flists.sort_by(|a, b| a.place.cmp(&b.place));
    confirmed
}
