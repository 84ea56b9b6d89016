//! `bcm bootstrap status`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::local::{self, LocalLink};
use bcm_bootstrap_sync::manifest::Manifest;
use bcm_bootstrap_sync::report::{Summary, SyncOutcome};
use bcm_bootstrap_sync::run_mode::RunMode;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde::Serialize;

use crate::args::bootstrap::StatusCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};

/// A kernel that is here.
#[derive(Debug, Serialize)]
struct Held {
    name: KernelName,
    size: u64,
    timestamp: i64,
    sha256: Option<String>,
}

/// A run mode.
#[derive(Debug, Serialize)]
struct Mode {
    mode: RunMode,
    kernel: KernelName,
    pinned: bool,
    upstream: Option<KernelName>,
}

/// What the mirror holds and how its last sync went.
#[derive(Debug, Serialize)]
struct Status {
    data: PathBuf,
    healthy: bool,
    problems: Vec<String>,
    upstream: Option<String>,
    last_attempt: Option<i64>,
    last_success: Option<i64>,
    last_sync: Option<Summary>,
    kernels: Vec<Held>,
    run_modes: Vec<Mode>,
    awaiting_deletion: Vec<KernelName>,
}

/// Shows what the mirror holds.
pub(super) fn run(context: &Context, args: &StatusCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    let loaded = Manifest::load(&layout.manifest()).map_err(Failure::new)?;
    let held = local::scan(&layout).map_err(Failure::new)?;
    let manifest = loaded.manifest;
    let mut problems = held.odd.clone();
    if let Some(damaged) = loaded.damaged {
        problems.push(format!("{}: {damaged}", layout.manifest().display()));
    }
    match (manifest.last_attempt, args.max_age) {
        (None, _) => problems.push("no sync has run to its end yet".to_owned()),
        (Some(last), Some(most)) if age(last) > most => {
            problems.push(format!(
                "the last sync was {} ago",
                HumanDuration(age(last))
            ));
        }
        _ => {}
    }
    for (name, kernel) in &manifest.kernels {
        match held.kernels.get(name) {
            None => problems.push(format!("{name} is missing; the next sync fetches it")),
            Some(file) if (file.size, file.modified.seconds) != (kernel.size, kernel.timestamp) => {
                problems.push(format!("{name} was changed here; the next sync fetches it"));
            }
            Some(_) => {}
        }
    }
    for (mode, link) in &manifest.links {
        let file = format!("net/{}", mode.link());
        match held.links.get(mode) {
            Some(LocalLink::Kernel(name)) if *name == link.kernel => {
                if !held.kernels.contains_key(name) {
                    problems.push(format!("{file} leads to {name}, which is not here"));
                }
            }
            Some(LocalLink::Kernel(name)) => problems.push(format!(
                "{file} leads to {name}, not to {}; the next sync turns it back",
                link.kernel
            )),
            _ => problems.push(format!(
                "{file} does not lead to {}; the next sync turns it",
                link.kernel
            )),
        }
    }
    let healthy = problems.is_empty();
    let partial = manifest
        .last_report
        .as_ref()
        .is_some_and(|report| report.outcome == SyncOutcome::Partial);
    if partial {
        problems.push(
            "the last sync could not mirror everything; `bcm bootstrap sync` says what".to_owned(),
        );
    }
    let kernels = held.kernels.iter().map(|(name, file)| Held {
        name: name.clone(),
        size: file.size,
        timestamp: file.modified.seconds,
        sha256: manifest.kernels.get(name).map(|k| k.sha256.to_string()),
    });
    let status = Status {
        healthy,
        problems,
        kernels: kernels.collect(),
        run_modes: manifest
            .links
            .into_iter()
            .map(|(mode, link)| Mode {
                mode,
                kernel: link.kernel,
                pinned: link.pinned,
                upstream: link.upstream.map(|upstream| upstream.kernel),
            })
            .collect(),
        upstream: manifest.upstream,
        last_attempt: manifest.last_attempt,
        last_success: manifest.last_success,
        last_sync: manifest.last_report,
        awaiting_deletion: manifest.tombstones.into_keys().collect(),
        data,
    };
    context.printer.show(&status)?;
    Ok(match (status.healthy, partial) {
        (false, _) => ExitCode::Unhealthy,
        (true, true) => ExitCode::Partial,
        (true, false) => ExitCode::Done,
    })
}

fn age(seconds: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::now().duration_since(then).unwrap_or_default()
}

impl Show for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let ago = |time: Option<i64>| {
            time.map_or("never".to_owned(), |time| {
                format!("{} ago", HumanDuration(age(time)))
            })
        };
        let bytes = self.kernels.iter().map(|kernel| kernel.size).sum();
        let upstream = self.upstream.clone();
        let mut rows = vec![
            row("data folder", self.data.display().to_string()),
            row(
                "upstream",
                upstream.unwrap_or_else(|| "none yet".to_owned()),
            ),
            row("last sync", ago(self.last_attempt)),
        ];
        if self.last_attempt != self.last_success {
            rows.push(row("last complete sync", ago(self.last_success)));
        }
        let count = HumanCount(self.kernels.len() as u64);
        rows.push(row("kernels", format!("{count} ({})", HumanBytes(bytes))));
        for kernel in &self.kernels {
            rows.push(row(
                "",
                format!("{} ({})", kernel.name, HumanBytes(kernel.size)),
            ));
        }
        for mode in &self.run_modes {
            let pinned = match (&mode.upstream, mode.pinned) {
                (Some(upstream), true) if *upstream != mode.kernel => {
                    format!(" (pinned; upstream has {upstream})")
                }
                (_, true) => " (pinned)".to_owned(),
                _ => String::new(),
            };
            rows.push(row(
                &format!("run mode {}", mode.mode),
                format!("{}{pinned}", mode.kernel),
            ));
        }
        for name in &self.awaiting_deletion {
            rows.push(row("not wanted", format!("{name}, kept for now")));
        }
        let health = if self.healthy { "good" } else { "bad" };
        rows.push(row("health", health.to_owned()));
        for problem in &self.problems {
            rows.push(row("", problem.clone()));
        }
        table(out, &rows)
    }
}
