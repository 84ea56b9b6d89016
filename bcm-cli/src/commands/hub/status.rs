//! `bcm hub status`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_core::cause::chain;
use bcm_hub_sync::catalog::{Catalog, Entry, local};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::store::{BlockStore, StoreStats};
use bcm_hub_sync::sync::history::{self, Ended, Record};
use bcm_hub_sync::sync::state::State;
use bcm_hub_sync::sync::{FollowStatus, SyncOutcome};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::reports;
use crate::args::hub::StatusCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::store;

/// What a published tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Holds {
    repositories: u64,
    flists: u64,
    flist_bytes: u64,
    links: u64,
    tags: u64,
    taglinks: u64,
}

impl Holds {
    /// Counts a catalogue.
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut holds = Self::default();
        for repository in catalog.repositories.values() {
            holds.repositories += 1;
            holds.tags += repository.tags.len() as u64;
            for entry in repository.entries.values() {
                match entry {
                    Entry::Regular(file) => {
                        holds.flists += 1;
                        holds.flist_bytes += file.size.unwrap_or(0);
                    }
                    Entry::Symlink(_) => holds.links += 1,
                    Entry::TagLink(_) => holds.taglinks += 1,
                }
            }
        }
        holds
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} repositories, {} flists ({}), {} links, {} tags, {} links to tags",
            HumanCount(self.repositories),
            HumanCount(self.flists),
            HumanBytes(self.flist_bytes),
            HumanCount(self.links),
            HumanCount(self.tags),
            HumanCount(self.taglinks)
        )
    }
}

/// How a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    /// The last sync made it equal to its upstream.
    Good,
    /// So it did, but for some entries.
    Partial,
    /// Somebody should look: there was no sync yet, or not for too long, or its state or its
    /// store is damaged.
    Bad,
}

/// What `bcm hub status` answers. Times are in seconds since 1970.
#[derive(Debug, Serialize)]
struct Status {
    data: PathBuf,
    mode: Mode,
    health: Health,
    /// Why it is not good, for people.
    problems: Vec<String>,
    upstream: Option<String>,
    last_success: Option<i64>,
    last_attempt: Option<i64>,
    last_outcome: Option<SyncOutcome>,
    /// How long the mirror was not known to be equal to its upstream, in seconds.
    lag: Option<u64>,
    /// How the last sync ended, also one that could not go on.
    last_error: Option<String>,
    /// How many syncs in a row have ended so.
    last_error_times: u64,
    /// The process that follows upstream, if there is one.
    follow: Option<FollowStatus>,
    /// Entries that are gone upstream and wait for their deletion.
    awaiting_deletion: u64,
    #[serde(flatten)]
    holds: Holds,
    blocks: u64,
    block_bytes: u64,
    /// Bytes that the block store takes on disk.
    disk_bytes: u64,
    /// Things in the tree that are none of a hub's.
    odd: Vec<String>,
}

/// Shows what the mirror holds and how its last sync went.
pub(super) fn run(context: &Context, args: &StatusCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    if let Some(most) = args.last {
        return reports::show(context, data, most);
    }
    let access = Access::ReadOnly;
    let layout = Layout::new(&data);
    let store = store::open(&context.settings, &args.store.store, &layout, access)?;
    let status = status(data, &*store, args.max_age)?;
    context.printer.show(&status)?;
    Ok(match status.health {
        Health::Good => ExitCode::Done,
        Health::Partial => ExitCode::Partial,
        Health::Bad => ExitCode::Unhealthy,
    })
}

fn status(
    data: PathBuf,
    store: &dyn BlockStore,
    max_age: Option<Duration>,
) -> Result<Status, Failure> {
    let layout = Layout::new(&data);
    let mode = Mode::of(&layout).map_err(Failure::new)?;
    let loaded = State::load(&layout.state()).map_err(Failure::new)?;
    let scan = local::scan(&layout).map_err(Failure::new)?;
    // What is known of the syncs is of use also where the store is down.
    let audited = store
        .stats()
        .and_then(|stats| store.audit().map(|()| stats));
    let state = loaded.state;
    let last_outcome = state.last_report.as_ref().map(|report| report.outcome);
    let mut problems = Vec::new();
    if let Some(damaged) = loaded.damaged {
        problems.push(format!("{}: {damaged}", layout.state().display()));
    }
    let stats = audited.unwrap_or_else(|error| {
        problems.push(format!("the block store: {}", chain(&error)));
        StoreStats::default()
    });
    match (state.last_attempt, max_age) {
        // It has no upstream to be behind of.
        _ if mode.is_writable() => {}
        (None, _) => problems.push("no sync has run to its end yet".to_owned()),
        (Some(last), _) if is_to_come(last) => problems.push(
            "the last sync lies in the future: this machine's clock was or is wrong".to_owned(),
        ),
        (Some(last), Some(max_age)) if age(last) > max_age => {
            problems.push(format!("the last sync was {} ago", span(age(last))));
        }
        _ => {}
    }
    if layout.publish_journal().exists() {
        problems.push(
            "a sync is publishing, or was stopped while it did; the next one finishes it"
                .to_owned(),
        );
    }
    let mut health = match problems.is_empty() {
        true => Health::Good,
        false => Health::Bad,
    };
    if let Some(report) = state
        .last_report
        .as_ref()
        .filter(|report| report.outcome == SyncOutcome::Partial)
    {
        if let Some(guard) = &report.guard {
            problems.push(guard.to_string());
        }
        if report.refused + report.deferred > 0 || report.guard.is_none() {
            problems.push(format!(
                "the last sync refused {} entries and could not publish {}; `bcm hub status --last` names \
                 them",
                report.refused, report.deferred
            ));
        }
        if health == Health::Good {
            health = Health::Partial;
        }
    }
    if let Some(snapshot) = &state.held {
        problems.push(format!(
            "held at the snapshot {snapshot}; `bcm hub snapshot release` lets syncs go on"
        ));
        if health == Health::Good {
            health = Health::Partial;
        }
    }
    let mut last = history::last(&layout, 1).unwrap_or_default();
    if mode.is_writable() {
        last.clear();
    }
    let last = last.first();
    let last_error = last.and_then(|record| match &record.ended {
        Ended::Failed { error } => Some(error.clone()),
        _ => None,
    });
    let last_error_times = match (&last_error, last) {
        // It failed because of that alone.
        (Some(_), Some(record)) if state.held.is_some() => record.times,
        (Some(error), Some(record)) => {
            problems.push(failed_sync(error, record));
            if health == Health::Good {
                health = Health::Partial;
            }
            record.times
        }
        _ => 0,
    };
    Ok(Status {
        data,
        mode,
        health,
        problems,
        upstream: state.upstream.as_deref().map(bcm_core::redact::url),
        last_success: state.last_success,
        last_attempt: state.last_attempt,
        last_outcome,
        lag: state
            .last_success
            .filter(|time| !is_to_come(*time))
            .map(|time| age(time).as_secs()),
        last_error,
        last_error_times,
        follow: FollowStatus::of(&layout),
        awaiting_deletion: state.memory.tombstones.len() as u64,
        holds: Holds::of(&scan.catalog),
        blocks: stats.blocks,
        block_bytes: stats.payload_bytes,
        disk_bytes: stats.disk_bytes,
        odd: scan
            .odd
            .iter()
            .map(|odd| format!("{} {}", odd.path.display(), odd.reason))
            .collect(),
    })
}

fn age(seconds: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::now().duration_since(then).unwrap_or_default()
}

/// Whether a time is so far ahead that no small difference of clocks explains it.
fn is_to_come(seconds: i64) -> bool {
    ahead(seconds) > Duration::from_secs(300)
}

fn ahead(seconds: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    then.duration_since(SystemTime::now()).unwrap_or_default()
}

/// What failed, how often and for how long.
fn failed_sync(error: &str, record: &Record) -> String {
    let ago = span(age(record.started));
    match record.times {
        1 => format!("the last sync, {ago} ago, failed: {error}"),
        times => format!(
            "the last {times} syncs, since {} ago, failed: {error}",
            span(age(record.since))
        ),
    }
}

fn span(duration: Duration) -> String {
    indicatif::HumanDuration(duration).to_string()
}

impl Show for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let ago = |time: Option<i64>| match time {
            Some(time) => format!("{} ago", span(age(time))),
            None => "never".to_owned(),
        };
        let mut rows = vec![
            row("data folder", self.data.display().to_string()),
            row("mode", self.mode.as_str().to_owned()),
        ];
        if !self.mode.is_writable() {
            let upstream = self.upstream.clone();
            let upstream = upstream.unwrap_or_else(|| "none yet".to_owned());
            rows.push(row("upstream", upstream));
            rows.push(row("last sync", ago(self.last_attempt)));
        }
        if self.last_attempt != self.last_success {
            rows.push(row("last complete sync", ago(self.last_success)));
        }
        if let Some(follow) = &self.follow {
            let next = match follow.next {
                None => "now, at work".to_owned(),
                Some(time) => match ahead(time) {
                    Duration::ZERO => "due".to_owned(),
                    ahead => format!("in {}", span(ahead)),
                },
            };
            rows.push(row("next sync", next));
        }
        rows.push(row("catalogue", self.holds.line()));
        rows.push(row(
            "blocks",
            format!(
                "{} ({}), {} on disk",
                HumanCount(self.blocks),
                HumanBytes(self.block_bytes),
                HumanBytes(self.disk_bytes)
            ),
        ));
        if self.awaiting_deletion > 0 {
            rows.push(row(
                "gone upstream",
                format!(
                    "{} entries, kept for now",
                    HumanCount(self.awaiting_deletion)
                ),
            ));
        }
        for odd in &self.odd {
            rows.push(row("not served", odd.clone()));
        }
        let health = match self.health {
            Health::Good => "good",
            Health::Partial => "good, but for some entries",
            Health::Bad => "bad",
        };
        rows.push(row("health", health.to_owned()));
        for problem in &self.problems {
            rows.push(row("", problem.clone()));
        }
        table(out, &rows)
    }
}
