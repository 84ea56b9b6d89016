//! From one mode to another.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_core::lock::{FolderLock, LockError};
use serde::Serialize;

use super::{Mode, ModeFileError, Stored, VERSION};
use crate::catalog::local::{self, LocalError};
use crate::catalog::{Catalog, Item};
use crate::layout::Layout;
use crate::snapshots::{self, SnapshotError};
use crate::sync::publish::{self, Rolled, Step};
use crate::sync::restoring::open_staging;
use crate::sync::state::{State, StateError};
use crate::sync::{PublishError, SyncError, now};

/// How many entries an error or a report names.
const NAMED: usize = 10;

/// What detaching did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detached {
    /// The upstream that is forgotten.
    pub upstream: Option<String>,
    /// When a sync last ran to its end, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// What the last sync could not mirror, which is therefore not here.
    pub not_mirrored: u64,
    /// Entries that were gone upstream and were to be deleted; they stay.
    pub kept: u64,
    /// Whether it was detached before.
    pub already: bool,
}

/// What attaching did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// What it was.
    pub was: Mode,
    /// Entries and tags that an operator published, changed or removed.
    pub discarded: u64,
    /// Some of them.
    pub first: Vec<String>,
    /// The snapshot of the tree as it was before.
    pub snapshot: Option<String>,
}

/// A hub's mode could not be changed. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// What it is cannot be told.
    #[error("what this hub is cannot be told")]
    File(#[from] ModeFileError),
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// No sync has run to its end.
    #[error("{} holds no whole mirror yet: no sync has run to its end", path.display())]
    NotSynced {
        /// The data folder.
        path: PathBuf,
    },
    /// The blocks are elsewhere.
    #[error(
        "{count} flists were mirrored without their blocks, such as {first}: without an upstream \
             nobody has these"
    )]
    WithoutBlocks {
        /// How many.
        count: u64,
        /// One of them.
        first: String,
    },
    /// A process follows the upstream.
    #[error("a process follows the upstream of {} just now", path.display())]
    Followed {
        /// The data folder.
        path: PathBuf,
    },
    /// It never had an upstream.
    #[error("{} is a standalone hub: it has no upstream to be detached from", path.display())]
    NoUpstream {
        /// The data folder.
        path: PathBuf,
    },
    /// There is something in it already.
    #[error("{} is {mode} already: a standalone hub starts empty", path.display())]
    NotEmpty {
        /// The data folder.
        path: PathBuf,
        /// What it is.
        mode: Mode,
    },
    /// It is a mirror.
    #[error("{} is a mirror: there is nothing to attach", path.display())]
    IsMirror {
        /// The data folder.
        path: PathBuf,
    },
    /// Something would be lost, and nobody said that it may be.
    #[error("{}", would_lose(*mode, *count, first))]
    WouldLose {
        /// What the hub is.
        mode: Mode,
        /// How many entries and tags are the operator's own.
        count: u64,
        /// Some of them.
        first: Vec<String>,
    },
    /// A publication was interrupted, and its journal is damaged.
    #[error("the journal {} of an interrupted publication is damaged: {why}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What syncs remember cannot be used.
    #[error("what the syncs remember cannot be used")]
    State(#[from] StateError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// The tree could not be changed.
    #[error("the tree could not be changed")]
    Publish(#[from] PublishError),
    /// The tree could not be made ready.
    #[error("the tree could not be made ready")]
    Stage(#[source] Box<SyncError>),
    /// The tree as it is could not be kept.
    #[error("the tree as it is could not be kept as a snapshot")]
    Snapshot(#[from] SnapshotError),
    /// A file could not be written.
    #[error("the mode could not be written down")]
    Write(#[from] AtomicFileError),
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<SyncError> for ModeError {
    fn from(error: SyncError) -> Self {
        Self::Stage(Box::new(error))
    }
}

impl ModeError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

fn would_lose(mode: Mode, count: u64, first: &[String]) -> String {
    let more = count.saturating_sub(first.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    match count {
        0 => format!("this is {mode}: its tokens would be lost"),
        _ => format!(
            "this is {mode}: {count} entries that were published, changed or removed here would be lost \
             ({}{more}), and its tokens",
            first.join(", ")
        ),
    }
}

fn write(layout: &Layout, mode: Mode) -> Result<(), ModeError> {
    let stored = Stored {
        version: VERSION,
        mode,
        since: now(),
    };
    // Numbers and words cannot fail to be written.
    let text = serde_json::to_vec(&stored).unwrap_or_default();
    Ok(atomic_file::write(&layout.mode(), &text, 0o644)?)
}

/// Finishes what was being published, so that the state is the one of the tree.
fn settle(layout: &Layout) -> Result<(), ModeError> {
    open_staging(layout)?;
    match publish::roll_forward(layout, &mut |_| Ok(()))? {
        Rolled::Damaged(why) => Err(ModeError::Journal {
            path: layout.publish_journal(),
            why,
        }),
        Rolled::Nothing | Rolled::Finished(_) => Ok(()),
    }
}

/// Cuts a mirror off from its upstream: it stays as it is, nothing is deleted any more, and an operator
/// may publish. What the syncs knew of the upstream is forgotten. With `dry_run`, only what would be
/// done is told.
///
/// # Errors
/// No sync has run to its end, flists are here without their blocks, the upstream is being followed, or
/// the disk is full or failing.
pub fn detach(layout: &Layout, dry_run: bool) -> Result<Detached, ModeError> {
    let path = || layout.root().to_owned();
    let mode = Mode::of(layout)?;
    if mode == Mode::Standalone {
        return Err(ModeError::NoUpstream { path: path() });
    }
    // Not even a lock is to appear in a folder that holds nothing.
    if mode == Mode::Mirror && State::load(&layout.state())?.state.last_attempt.is_none() {
        return Err(ModeError::NotSynced { path: path() });
    }
    if FolderLock::is_held(&layout.follow_lock()) {
        return Err(ModeError::Followed { path: path() });
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    if !dry_run {
        settle(layout)?;
    }
    let mut state = State::load(&layout.state())?.state;
    let mut without = state
        .memory
        .flists
        .iter()
        .filter(|(_, record)| !record.blocks);
    if mode == Mode::Mirror
        && let Some((first, _)) = without.next()
    {
        return Err(ModeError::WithoutBlocks {
            first: first.to_string(),
            count: 1 + without.count() as u64,
        });
    }
    let report = state.last_report.as_ref();
    let detached = Detached {
        upstream: state.upstream.as_deref().map(bcm_core::redact::url),
        last_sync: state.last_attempt,
        not_mirrored: report.map_or(0, |report| report.refused + report.deferred),
        kept: state.memory.tombstones.len() as u64,
        already: mode == Mode::Detached,
    };
    if dry_run {
        return Ok(detached);
    }
    if mode == Mode::Mirror {
        write(layout, Mode::Detached)?;
    }
    // Done again where the process was killed after it wrote the mode.
    state.upstream = None;
    state.last_attempt = None;
    state.last_success = None;
    state.last_report = None;
    state.blocks = None;
    state.held = None;
    state.memory.tombstones.clear();
    state.save(&layout.state())?;
    Ok(detached)
}

/// Makes an empty hub that an operator publishes into. Answers with whether it was not one already. With
/// `dry_run`, nothing is changed.
///
/// # Errors
/// There is a mirror in the data folder, or the disk is full or failing.
pub fn standalone(layout: &Layout, dry_run: bool) -> Result<bool, ModeError> {
    let occupied = |mode| {
        let path = layout.root().to_owned();
        Err(ModeError::NotEmpty { path, mode })
    };
    let check = || match Mode::of(layout)? {
        Mode::Standalone => Ok(false),
        Mode::Detached => occupied(Mode::Detached),
        Mode::Mirror => {
            let published = !local::scan(layout)?.catalog.repositories.is_empty();
            match published || layout.state().exists() || layout.publish_journal().exists() {
                true => occupied(Mode::Mirror),
                false => Ok(true),
            }
        }
    };
    if !check()? || dry_run {
        return check();
    }
    let hub = layout.hub();
    fs::create_dir_all(&hub).map_err(ModeError::io("make the folder", &hub))?;
    if FolderLock::is_held(&layout.follow_lock()) {
        let path = layout.root().to_owned();
        return Err(ModeError::Followed { path });
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    if !check()? {
        return Ok(false);
    }
    open_staging(layout)?;
    write(layout, Mode::Standalone)?;
    State::new().save(&layout.state())?;
    Ok(true)
}

/// Makes a hub that stands alone a mirror again. What the operator published, changed or removed is
/// taken out of the tree, and what upstream has of these names comes back with the next sync. Tokens
/// are revoked. The tree as it was is kept as a snapshot. With `dry_run`, only what would be done is
/// told.
///
/// # Errors
/// [`ModeError::WouldLose`] without `discard`; it is a mirror; the disk is full or failing.
pub fn attach(layout: &Layout, discard: bool, dry_run: bool) -> Result<Attached, ModeError> {
    let was = Mode::of(layout)?;
    if was == Mode::Mirror {
        let path = layout.root().to_owned();
        return Err(ModeError::IsMirror { path });
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    if !dry_run {
        settle(layout)?;
    }
    let loaded = State::load(&layout.state())?;
    let catalog = local::scan(layout)?.catalog;
    // Where nobody knows what is whose, it is better fetched again.
    let all = was == Mode::Standalone || loaded.damaged.is_some();
    let own = match all {
        true => everything(&catalog),
        false => loaded.state.own.iter().cloned().collect(),
    };
    let named = |item: &&Item| !matches!(item, Item::Repository(_));
    let names: Vec<String> = own.iter().filter(named).map(ToString::to_string).collect();
    let mut attached = Attached {
        was,
        discarded: names.len() as u64,
        first: names.into_iter().take(NAMED).collect(),
        snapshot: None,
    };
    if !discard {
        return Err(ModeError::WouldLose {
            mode: was,
            count: attached.discarded,
            first: attached.first,
        });
    }
    if dry_run {
        return Ok(attached);
    }
    attached.snapshot = snapshots::after_sync(layout, usize::MAX, Duration::MAX, now())?;
    let mut state = loaded.state;
    state.own.clear();
    state.changes += 1;
    let steps = removals(&catalog, own);
    for step in &steps {
        state.forget(&step.item());
    }
    let (_, failures) = publish::publish(layout, steps, state, &mut |_| Ok(()))?;
    if let Some((_, error)) = failures.into_iter().next() {
        return Err(error.into());
    }
    let tokens = layout.tokens();
    atomic_file::remove_if_there(&tokens).map_err(ModeError::io("remove", &tokens))?;
    let mode = layout.mode();
    atomic_file::remove_if_there(&mode).map_err(ModeError::io("remove", &mode))?;
    atomic_file::sync_dir(&layout.hub())?;
    // Servers look at the state file; it is another one after the mode.
    State::load(&layout.state())?.state.save(&layout.state())?;
    Ok(attached)
}

fn everything(catalog: &Catalog) -> Vec<Item> {
    let repositories = catalog.repositories.keys().cloned().map(Item::Repository);
    let entries = catalog.entries().map(|(place, _)| place.into());
    let tags = catalog.tags().map(|(place, _)| place.into());
    repositories.chain(entries).chain(tags).collect()
}

/// Takes `own` out of the tree: entries first, and repositories that are empty then.
fn removals(catalog: &Catalog, own: Vec<Item>) -> Vec<Step> {
    let (repositories, others): (BTreeSet<_>, BTreeSet<_>) = own
        .into_iter()
        .partition(|item| matches!(item, Item::Repository(_)));
    let left = |item: &Item| {
        let Some(held) = catalog.repositories.get(item.repository()) else {
            return false;
        };
        let home = item.repository();
        let entries = held.entries.keys().map(|name| Item::entry(home, name));
        let tags = held.tags.keys().map(|tag| Item::tag(home, tag));
        entries.chain(tags).any(|item| !others.contains(&item))
    };
    let empty = repositories.into_iter().filter(|item| !left(item));
    let empty: Vec<Item> = empty.collect();
    let steps = others.iter().cloned().chain(empty).map(Step::Remove);
    steps.collect()
}
