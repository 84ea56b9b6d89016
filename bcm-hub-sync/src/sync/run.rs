//! A sync from its beginning to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bcm_core::atomic_file;
use bcm_core::lock::FolderLock;
use bcm_core::progress::{Level, Outcome, Progress, SharedProgress, Unit};
use tokio_util::sync::CancellationToken;

use super::config::{BlockMode, SyncConfig};
use super::error::SyncError;
use super::history::{self, Ended};
use super::memory::next_state;
use super::namespace::{Mirrored, Namespace};
use super::plan::{Plan, Prepared, now, prepare};
use super::publication::{Publication, build};
use super::publish::{self, Failure, Point, PublishError, Rolled, Step};
use super::report::{Counts, MAX_NAMED, Refusals, Refused, SyncOutcome, SyncReport};
use super::stage::{self, Stage, Staged, StagedName};
use super::state::State;
use crate::catalog::local;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::snapshots;
use crate::store::BlockStore;
use bcm_core::cause::chain;

/// Makes the mirror in the data folder of `layout` equal to its upstream, with the blocks in
/// `store`. What fails is named in the report and left as it was; the rest is published, all at
/// once, at the end.
///
/// Cancel safety: cancel by `cancel`, which keeps all that was fetched. After dropping the future,
/// the next sync finds what was there before or finishes what was being published.
///
/// # Errors
/// The data folder is in use or no mirror's, no upstream can be listed, the disk is full or failing, or `cancel`
/// was cancelled. What was published before is untouched.
pub async fn sync(
    layout: &Layout,
    config: &SyncConfig,
    store: Arc<dyn BlockStore>,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<SyncReport, SyncError> {
    let started = (Instant::now(), now());
    let root = layout.root();
    std::fs::create_dir_all(root).map_err(|error| SyncError::io("make the folder", root, error))?;
    let _lock = FolderLock::acquire(&layout.lock())?;
    check_mode(layout)?;
    let watched = Arc::clone(&progress);
    let result = run(layout, config, store, progress, cancel, started).await;
    let (seconds, ended) = (started.0.elapsed().as_secs_f64(), Ended::of(&result));
    if let Err(error) = history::keep(layout, started.1, seconds, ended) {
        let text = format!("the sync's report could not be kept: {error}");
        watched.note(Level::Warning, &text);
    }
    result
}

/// Whether the hub in the data folder of `layout` is a mirror: another one has what no upstream has,
/// and a sync would take it away.
///
/// # Errors
/// It is not, or that cannot be told.
fn check_mode(layout: &Layout) -> Result<(), SyncError> {
    match Mode::of(layout)? {
        Mode::Mirror => Ok(()),
        mode => Err(SyncError::StandsAlone {
            path: layout.root().to_owned(),
            mode,
        }),
    }
}

/// The sync, while the data folder is locked.
async fn run(
    layout: &Layout,
    config: &SyncConfig,
    store: Arc<dyn BlockStore>,
    progress: SharedProgress,
    cancel: CancellationToken,
    started: (Instant, i64),
) -> Result<SyncReport, SyncError> {
    stage::open(layout)?;
    let mut warnings = roll_forward(layout, &progress).await?;

    let preparing = prepare(layout, config, &store, &*progress);
    let prepared = cancel.run_until_cancelled(preparing).await;
    let mut prepared = prepared.unwrap_or(Err(SyncError::Cancelled))?;
    warnings.append(&mut prepared.warnings);
    let stage = Stage {
        layout,
        config,
        upstreams: &prepared.upstreams,
        hub: prepared.hub,
        now: prepared.now,
        records: &prepared.state.memory.flists,
        store: Arc::clone(&store),
        progress: Arc::clone(&progress),
        cancel: cancel.clone(),
    };
    let mut staged = stage.run(&prepared.diff.flists).await?;
    if cancel.is_cancelled() {
        return Err(SyncError::Cancelled);
    }
    warnings.append(&mut staged.warnings);
    warnings.append(&mut store.warnings());

    let local = &prepared.local.catalog;
    let publication = build(&prepared.diff, &prepared.wanted, local, &staged);
    let with_blocks = config.blocks != BlockMode::None;
    let blocks = with_blocks.then(|| store.stats()).transpose()?;
    let mut state = next_state(&prepared, &staged, &publication, config);
    state.blocks = blocks.map_or(state.blocks, |stats| Some(stats.blocks));
    let failures = [];
    let mut report = report(&prepared, &staged, &publication, &failures, warnings);
    report.started = started.1;
    report.seconds = started.0.elapsed().as_secs_f64();
    state.changes += u64::from(!publication.steps.is_empty());
    if config.blocks == BlockMode::All {
        // Until it is done: this process may not live to see it.
        let mut unfinished = report.clone();
        defer_namespace(&mut unfinished, "it was not mirrored to its end".to_owned());
        remember(&mut state, &unfinished);
    } else {
        remember(&mut state, &report);
    }
    if publication.steps.is_empty() {
        state.save(&layout.state())?;
        publish::remove_journal(layout)?;
    } else {
        let failures;
        (state, failures) = publish(layout, &publication, state, &progress).await?;
        if !failures.is_empty() {
            note_failures(&mut report, &failures);
            remember(&mut state, &report);
            state.save(&layout.state())?;
        }
    }
    stage::clean(layout, &kept_for_later(&staged))?;
    snapshot(layout, config, started.1, &mut report, &*progress).await?;
    if config.blocks == BlockMode::All {
        let mirrored = mirror_namespace(layout, config, &store, &progress, &cancel).await?;
        note_namespace(&mut report, mirrored);
        state.blocks = Some(store.stats()?.blocks);
        report.seconds = started.0.elapsed().as_secs_f64();
        remember(&mut state, &report);
        state.save(&layout.state())?;
    }
    report.seconds = started.0.elapsed().as_secs_f64();
    Ok(report)
}

/// Mirrors what no flist names, after all that one names was published.
async fn mirror_namespace(
    layout: &Layout,
    config: &SyncConfig,
    store: &Arc<dyn BlockStore>,
    progress: &SharedProgress,
    cancel: &CancellationToken,
) -> Result<Mirrored, SyncError> {
    let own_layout = layout.clone();
    let published = tokio::task::spawn_blocking(move || local::scan(&own_layout)).await;
    let published = published.map_err(SyncError::Panicked)??.catalog;
    let namespace = Namespace {
        layout,
        config,
        store: Arc::clone(store),
        published: &published,
        now: now(),
        progress: Arc::clone(progress),
        cancel: cancel.clone(),
    };
    namespace.mirror().await
}

/// Adds what came of the namespace.
fn note_namespace(report: &mut SyncReport, mirrored: Mirrored) {
    let counts = &mut report.counts;
    counts.blocks += mirrored.fetched;
    counts.block_bytes += mirrored.bytes;
    counts.blocks_deleted = mirrored.deleted;
    counts.blocks_awaiting_deletion = mirrored.awaiting;
    report.nothing_to_do &= mirrored.fetched + mirrored.deleted == 0;
    report.warnings.extend(mirrored.warnings);
    report.guard = report.guard.take().or(mirrored.guard);
    report.refused_total += mirrored.refused.total();
    let room = MAX_NAMED.saturating_sub(report.refused.len());
    let named = mirrored.refused.named().iter();
    report.refused.extend(named.take(room).cloned());
    if let Some(why) = mirrored.unfinished {
        defer_namespace(report, why);
    }
    note_failures(report, &[]);
}

fn defer_namespace(report: &mut SyncReport, reason: String) {
    report.deferred_total += 1;
    report.deferred.push(Refused {
        subject: "the namespace".to_owned(),
        reason,
    });
    note_failures(report, &[]);
}

/// Keeps a point to which the tree can be taken back. That this fails is no reason to call the sync
/// failed.
async fn snapshot(
    layout: &Layout,
    config: &SyncConfig,
    now: i64,
    report: &mut SyncReport,
    progress: &dyn Progress,
) -> Result<(), SyncError> {
    let layout = layout.clone();
    let (keep, grace) = (config.snapshots, config.grace);
    let work = move || snapshots::after_sync(&layout, keep, grace, now);
    let taken = tokio::task::spawn_blocking(work).await;
    match taken.map_err(SyncError::Panicked)? {
        Ok(name) => report.snapshot = name,
        Err(error) => {
            let text = format!("no snapshot could be made: {}", chain(&error));
            progress.note(Level::Warning, &text);
            report.warnings.push(text);
        }
    }
    Ok(())
}

/// What [`sync`] would do now. Changes nothing on disk: it takes no lock, so a sync that runs at
/// the same time may make the answer old before it is given.
///
/// # Errors
/// As [`sync`], but for what has to do with writing.
pub async fn plan(
    layout: &Layout,
    config: &SyncConfig,
    store: Arc<dyn BlockStore>,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<Plan, SyncError> {
    check_mode(layout)?;
    let preparing = prepare(layout, config, &store, &*progress);
    let prepared = cancel.run_until_cancelled(preparing).await;
    let mut plan = prepared.unwrap_or(Err(SyncError::Cancelled))?.plan();
    if layout.publish_journal().exists() {
        let text = "a publication was interrupted; a sync finishes it first";
        plan.warnings.push(text.to_owned());
    }
    Ok(plan)
}

/// Finishes what an earlier sync was publishing when it was stopped.
async fn roll_forward(
    layout: &Layout,
    progress: &SharedProgress,
) -> Result<Vec<String>, SyncError> {
    let own_layout = layout.clone();
    let work = move || publish::roll_forward(&own_layout, &mut |_| Ok(()));
    let result = tokio::task::spawn_blocking(work).await;
    let rolled = result
        .map_err(SyncError::Panicked)?
        .map_err(|error| SyncError::Publish(error).or_full(layout.root()))?;
    let failures = match rolled {
        Rolled::Nothing => return Ok(Vec::new()),
        Rolled::Damaged(why) => {
            let text = format!(
                "{} is damaged ({why}); the tree is compared with upstream instead",
                layout.publish_journal().display()
            );
            progress.note(Level::Warning, &text);
            return Ok(vec![text]);
        }
        Rolled::Finished(failures) => failures,
    };
    progress.note(Level::Info, "finished the publication that was interrupted");
    let failed = failures.iter();
    Ok(failed
        .map(|(item, error)| format!("{item} could not be published: {}", chain(error)))
        .collect())
}

async fn publish(
    layout: &Layout,
    publication: &Publication,
    state: State,
    progress: &SharedProgress,
) -> Result<(State, Vec<Failure>), SyncError> {
    let staging = layout.staging();
    let total = publication.steps.len() as u64;
    let task = progress.started("publishing", Unit::Items, Some(total));
    let (own_layout, steps) = (layout.clone(), publication.steps.clone());
    let watched = Arc::clone(progress);
    let work = move || -> Result<(State, Vec<Failure>), PublishError> {
        atomic_file::sync_dir(&staging)?;
        let mut watch = |point| {
            if let Point::Step(_) = point {
                watched.advanced(task, 1, 0);
            }
            Ok(())
        };
        publish::publish(&own_layout, steps, state, &mut watch)
    };
    let result = tokio::task::spawn_blocking(work).await;
    let result = result
        .map_err(SyncError::Panicked)?
        .map_err(|error| SyncError::Publish(error).or_full(layout.root()));
    let outcome = match &result {
        Ok((_, failures)) if failures.is_empty() => Outcome::Done,
        Ok((_, failures)) => Outcome::Partial(format!("{} could not be published", failures.len())),
        Err(error) => Outcome::Failed(chain(error)),
    };
    progress.finished(task, &outcome);
    result
}

fn report(
    prepared: &Prepared,
    staged: &Staged,
    publication: &Publication,
    failures: &[Failure],
    warnings: Vec<String>,
) -> SyncReport {
    let mut refused = prepared.wanted.refusals.clone();
    for (place, reason) in &staged.refused {
        refused.add(None, &place.to_string(), reason.clone());
    }
    let mut counts = Counts {
        repositories: prepared.wanted.catalog.repositories.len() as u64,
        flists_unchanged: prepared.diff.unchanged,
        awaiting_deletion: (prepared.diff.tombstones.len() + publication.spared.len()) as u64,
        flist_bytes: staged.flist_bytes,
        blocks: staged.blocks.fetched,
        block_bytes: staged.blocks.bytes,
        ..Counts::default()
    };
    for (place, ready) in &staged.ready {
        let count = match (&ready.file, prepared.local.catalog.entry(place)) {
            (None, _) => &mut counts.flists_unchanged,
            (Some(_), None) => &mut counts.flists_new,
            (Some(_), Some(_)) => &mut counts.flists_changed,
        };
        *count += 1;
    }
    for step in &publication.steps {
        match step {
            Step::Link { .. } => counts.links += 1,
            Step::Tag { .. } => counts.tags += 1,
            Step::TagLink { .. } => counts.taglinks += 1,
            Step::Remove(_) => counts.deleted += 1,
            Step::Repository(_) | Step::Flist(_) | Step::Time(..) => {}
        }
    }
    let mut report = SyncReport {
        outcome: SyncOutcome::Complete,
        upstream: prepared.upstreams.name(prepared.hub),
        started: 0,
        seconds: 0.0,
        nothing_to_do: publication.steps.is_empty() && prepared.diff.flists.is_empty(),
        counts,
        refused: refused.named().to_vec(),
        refused_total: refused.total(),
        deferred: publication.deferred.named().to_vec(),
        deferred_total: publication.deferred.total(),
        warnings,
        guard: prepared.diff.guard.clone(),
        snapshot: None,
    };
    note_failures(&mut report, failures);
    report
}

/// Adds what could not be published, and says how the sync ended.
fn note_failures(report: &mut SyncReport, failures: &[Failure]) {
    let mut refused = Refusals::default();
    for (item, error) in failures {
        let reason = format!("could not be published: {}", chain(error));
        refused.add(None, &item.to_string(), reason);
    }
    report.refused_total += refused.total();
    let room = MAX_NAMED.saturating_sub(report.refused.len());
    report
        .refused
        .extend(refused.named().iter().take(room).cloned());
    let clean = report.refused_total == 0 && report.deferred_total == 0 && report.guard.is_none();
    report.outcome = match clean {
        true => SyncOutcome::Complete,
        false => SyncOutcome::Partial,
    };
}

fn remember(state: &mut State, report: &SyncReport) {
    state.last_attempt = Some(report.started);
    if report.outcome == SyncOutcome::Complete {
        state.last_success = Some(report.started);
    }
    state.last_report = Some(report.summary());
}

/// The staged flists that the next sync may use: those that wait for blocks.
fn kept_for_later(staged: &Staged) -> BTreeSet<String> {
    let names = staged.incomplete.iter();
    names
        .map(|(place, incomplete)| StagedName::of(place).whole(&incomplete.md5))
        .collect()
}
