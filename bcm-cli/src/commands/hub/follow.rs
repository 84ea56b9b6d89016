//! Following an upstream: what is said of each sync.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bcm_core::progress::{Level, Outcome, Progress, SharedProgress, TaskId, Unit};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::sync::{self, FollowEvent, FollowOptions, Follower, SyncConfig, SyncReport};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::settings::store::StoreSettings;

/// Shows the report of a sync that ran to its end, and answers whether it did.
pub(crate) type ShowReport<'a> = &'a (dyn Fn(&SyncReport) -> bool + Sync);

/// Syncs until it is told to stop.
///
/// # Errors
/// Another process follows already.
pub(crate) async fn follow(
    context: &Context,
    store: &StoreSettings,
    layout: &Layout,
    config: &SyncConfig,
    options: &FollowOptions,
    synced: ShowReport<'_>,
    cancel: &CancellationToken,
) -> Result<ExitCode, Failure> {
    let progress = Arc::new(Repeats::new(context.reporter.progress()));
    let watch = |event: FollowEvent<'_>| {
        progress.next_sync();
        match event {
            FollowEvent::Synced {
                report,
                after,
                next,
            } => {
                let shown = synced(report);
                if let Some((failures, time)) = after {
                    context.reporter.say(&format!(
                        "in step again, after {failures} failed syncs in {}",
                        HumanDuration(time)
                    ));
                }
                let next = format!("next sync in {}", HumanDuration(next));
                match (shown, is_uneventful(report)) {
                    (true, _) => context.reporter.say(&next),
                    (false, true) => tracing::debug!("nothing new; {next}"),
                    (false, false) => context.reporter.say(&format!("{}; {next}", line(report))),
                }
            }
            FollowEvent::Failed {
                error,
                failures,
                next,
            } => {
                let error = error.chain();
                let count = match failures {
                    1 => String::new(),
                    count => format!(" ({count} times in a row)"),
                };
                context.reporter.warn(&format!(
                    "the sync failed{count}: {error}; trying again in {}",
                    HumanDuration(next)
                ));
            }
            FollowEvent::Busy { error, next } => {
                let error = error.chain();
                let next = HumanDuration(next);
                context
                    .reporter
                    .say(&format!("{error}; trying again in {next}"));
            }
            _ => {}
        }
    };
    let open_store = || store.open(layout, Access::ReadWrite);
    let follower = Follower {
        layout,
        config,
        options,
        open_store: &open_store,
        watch: &watch,
        wake: &Notify::new(),
    };
    let shared: SharedProgress = progress.clone();
    sync::follow(follower, shared, cancel.clone())
        .await
        .map_err(Failure::new)?;
    // It was told to stop and did: for a service that is success.
    Ok(ExitCode::Done)
}

/// Whether the mirror was equal to its upstream before.
pub(crate) fn is_uneventful(report: &SyncReport) -> bool {
    report.nothing_to_do && report.refused_total + report.deferred_total == 0
}

/// A sync in one line, for a log.
fn line(report: &SyncReport) -> String {
    let counts = &report.counts;
    let mut parts = Vec::new();
    let mut part = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{} {what}", HumanCount(count)));
        }
    };
    part(counts.flists_new, "flists new");
    part(counts.flists_changed, "changed");
    part(counts.links + counts.taglinks, "links");
    part(counts.tags, "tags");
    part(counts.deleted, "deleted");
    if counts.blocks > 0 {
        let bytes = HumanBytes(counts.block_bytes);
        parts.push(format!("{} blocks ({bytes})", HumanCount(counts.blocks)));
    }
    let mut part = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{} {what}", HumanCount(count)));
        }
    };
    part(report.refused_total, "refused");
    part(report.deferred_total, "not published yet");
    if parts.is_empty() {
        parts.push("nothing new".to_owned());
    }
    let time = Duration::from_secs_f64(report.seconds.max(0.0));
    format!(
        "synced in {:.1} s: {}",
        time.as_secs_f64(),
        parts.join(", ")
    )
}

/// Says a warning once for as long as every sync repeats it, and shows only tasks that did
/// something: what is asked every few minutes would fill the log otherwise.
struct Repeats {
    inner: SharedProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    syncs: u64,
    /// Tasks that have done nothing yet are not announced.
    tasks: std::collections::BTreeMap<TaskId, Task>,
    before: std::collections::BTreeSet<String>,
    now: std::collections::BTreeSet<String>,
}

struct Task {
    name: String,
    unit: Unit,
    total: Option<u64>,
    shown: Option<TaskId>,
}

impl Repeats {
    fn new(inner: SharedProgress) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // What is shown matters less than that something is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is another sync.
    fn next_sync(&self) {
        let mut state = self.state();
        state.before = std::mem::take(&mut state.now);
        state.tasks.clear();
        state.syncs += 1;
    }
}

/// What every sync does, whether there is something new or not.
const ROUTINE: &str = "listing";

impl Progress for Repeats {
    fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        let mut state = self.state();
        state.last += 1;
        let id = TaskId(state.last);
        let task = Task {
            name: name.to_owned(),
            unit,
            total,
            shown: None,
        };
        state.tasks.insert(id, task);
        id
    }

    fn total(&self, task: TaskId, total: u64) {
        let mut state = self.state();
        if let Some(task) = state.tasks.get_mut(&task) {
            task.total = Some(total);
            if let Some(shown) = task.shown {
                self.inner.total(shown, total);
            }
        }
    }

    fn advanced(&self, task: TaskId, delta: u64, bytes: u64) {
        let shown = {
            let mut state = self.state();
            let syncs = state.syncs;
            let Some(task) = state.tasks.get_mut(&task) else {
                return;
            };
            if delta == 0 || (syncs > 0 && task.name == ROUTINE) {
                return;
            }
            *task
                .shown
                .get_or_insert_with(|| self.inner.started(&task.name, task.unit, task.total))
        };
        self.inner.advanced(shown, delta, bytes);
    }

    fn finished(&self, task: TaskId, outcome: &Outcome) {
        let task = self.state().tasks.remove(&task);
        if let Some(shown) = task.and_then(|task| task.shown) {
            self.inner.finished(shown, outcome);
        }
    }

    fn note(&self, level: Level, text: &str) {
        let mut level = level;
        if level == Level::Warning {
            let mut state = self.state();
            state.now.insert(text.to_owned());
            if state.before.contains(text) {
                level = Level::Debug;
            }
        }
        self.inner.note(level, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn started(&self, name: &str, _: Unit, _: Option<u64>) -> TaskId {
            self.0.lock().unwrap().push(name.to_owned());
            TaskId(7)
        }
        fn note(&self, level: Level, text: &str) {
            self.0.lock().unwrap().push(format!("{level:?} {text}"));
        }
    }

    #[test]
    fn a_warning_is_said_again_only_after_a_sync_without_it() {
        let heard = Arc::new(Heard::default());
        let repeats = Repeats::new(heard.clone());
        for sync in 0..4 {
            if sync != 2 {
                repeats.note(Level::Warning, "x is refused");
            }
            repeats.next_sync();
        }
        let heard = heard.0.lock().unwrap();
        assert_eq!(
            *heard,
            [
                "Warning x is refused",
                "Debug x is refused",
                "Warning x is refused"
            ]
        );
    }

    #[test]
    fn a_task_that_does_nothing_is_not_shown() {
        let heard = Arc::new(Heard::default());
        let repeats = Repeats::new(heard.clone());
        let idle = repeats.started("fetching blocks", Unit::Blocks, None);
        let busy = repeats.started("fetching flists", Unit::Items, Some(3));
        repeats.advanced(busy, 1, 10);
        repeats.advanced(busy, 1, 10);
        repeats.finished(idle, &Outcome::Done);
        repeats.finished(busy, &Outcome::Done);
        assert_eq!(*heard.0.lock().unwrap(), ["fetching flists"]);
    }
}
