//! `bcm bootstrap sync`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::report::{Moved, Pinned, Replaced, SyncOutcome, SyncReport};
use bcm_bootstrap_sync::sync::{self, FollowOptions, Plan, SyncConfig, SyncError};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::bootstrap::sync::SyncCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::{self, Show};
use crate::settings;

/// Makes the mirror equal to its upstream, or shows what that would take.
pub(super) async fn run(context: &Context, args: &SyncCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let config = settings::bootstrap::sync(&context.settings, &args.sync)?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let layout = Layout::new(&data);
    if args.dry_run {
        let plan = sync::plan(&layout, &config, cancel)
            .await
            .map_err(failure)?;
        let code = match plan.refused_total > 0 || plan.guard.is_some() {
            true => ExitCode::Partial,
            false => ExitCode::Done,
        };
        context.printer.show(&Planned { data, plan })?;
        return Ok(code);
    }
    if args.follow {
        let options = settings::bootstrap::follow(&context.settings, args.interval)?;
        follow(context, &layout, &config, &options, &cancel).await;
        return Ok(ExitCode::Done);
    }
    let progress = context.reporter.progress();
    let report = sync::sync(&layout, &config, progress, cancel).await;
    let report = report.map_err(failure)?;
    let code = exit_code(&report);
    context.printer.show(&Synced { data, report })?;
    Ok(code)
}

/// Syncs until it is told to stop, and says what each sync did.
pub(crate) async fn follow(
    context: &Context,
    layout: &Layout,
    config: &SyncConfig,
    options: &FollowOptions,
    cancel: &CancellationToken,
) {
    let watch = |result: &Result<SyncReport, SyncError>, pause: Duration| {
        let next = HumanDuration(pause);
        match result {
            Ok(report) if is_as_before(report) && report.warnings.is_empty() => {
                tracing::debug!("no new kernels; next sync in {next}");
            }
            Ok(report) => {
                let shown = Synced {
                    data: layout.root().to_owned(),
                    report: report.clone(),
                };
                // Nobody reading its results is no reason to stop.
                let _ = context.printer.show(&shown);
                context
                    .reporter
                    .say(&format!("next sync of the kernels in {next}"));
            }
            Err(error) => {
                let error = bcm_core::cause::chain(error);
                context.reporter.warn(&format!(
                    "the sync of the kernels failed: {error}; trying again in {next}"
                ));
            }
        }
    };
    let progress = context.reporter.progress();
    sync::follow(layout, config, options, progress, cancel.clone(), &watch).await;
}

/// Whether a sync changed nothing, and nothing kept it from doing so.
fn is_as_before(report: &SyncReport) -> bool {
    report.nothing_to_do && report.outcome == SyncOutcome::Complete
}

/// The failure of a sync, with its exit code.
pub(crate) fn failure(error: SyncError) -> Failure {
    match error {
        SyncError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
        error => Failure::new(error),
    }
}

/// The exit code of a sync that ran to its end.
pub(crate) fn exit_code(report: &SyncReport) -> ExitCode {
    match report.outcome {
        SyncOutcome::Complete => ExitCode::Done,
        SyncOutcome::Partial => ExitCode::Partial,
    }
}

/// What a sync did, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Synced {
    pub(crate) data: PathBuf,
    #[serde(flatten)]
    pub(crate) report: SyncReport,
}

impl Show for Synced {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        let counts = &report.counts;
        let (upstream, data) = (&report.upstream, self.data.display());
        if is_as_before(report) {
            writeln!(
                out,
                "{data} has all kernels of {upstream} that it should: {}, nothing to do",
                HumanCount(counts.unchanged)
            )?;
        } else {
            writeln!(
                out,
                "mirrored the kernels of {upstream} into {data} in {:.1} s",
                report.seconds
            )?;
            let resumed = match counts.resumed_bytes {
                0 => String::new(),
                bytes => format!(", {} were here already", HumanBytes(bytes)),
            };
            writeln!(
                out,
                "  kernels {} new, {} replaced, {} unchanged ({} downloaded{resumed})",
                HumanCount(counts.new),
                HumanCount(counts.changed),
                HumanCount(counts.unchanged),
                HumanBytes(counts.bytes)
            )?;
        }
        for name in &report.new {
            writeln!(out, "  new      {name}")?;
        }
        for Replaced { name, from, to } in &report.replaced {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let (from, to) = (short(from), short(to));
            writeln!(out, "  replaced {name} (SHA-256 {from}… is now {to}…)")?;
        }
        for Moved { mode, from, to } in &report.moved {
            let from = from.as_ref().map_or("nothing", |name| name.as_str());
            writeln!(out, "  run mode {mode}: {from} -> {to}")?;
        }
        for pinned in &report.pinned {
            let Pinned {
                mode,
                kernel,
                upstream,
            } = pinned;
            writeln!(
                out,
                "  run mode {mode}: pinned to {kernel}; upstream has {upstream}"
            )?;
        }
        for name in &report.deleted {
            writeln!(out, "  deleted  {name}")?;
        }
        for name in &report.awaiting_deletion {
            writeln!(out, "  kept     {name} (not wanted any more, for now)")?;
        }
        for warning in &report.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        printer::named(out, "refused", &report.refused, report.refused_total)?;
        match &report.guard {
            Some(guard) => writeln!(out, "nothing was deleted: {guard}"),
            None => Ok(()),
        }
    }
}

/// What a sync would do, and where.
#[derive(Debug, Serialize)]
struct Planned {
    data: PathBuf,
    #[serde(flatten)]
    plan: Plan,
}

impl Show for Planned {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let plan = &self.plan;
        let (upstream, data) = (&plan.upstream, self.data.display());
        if plan.nothing_to_do {
            writeln!(out, "{data} has all kernels of {upstream} that it should")?;
        } else {
            writeln!(out, "mirroring {upstream} into {data} would")?;
        }
        for fetch in &plan.fetch {
            let reason = serde_json::to_value(fetch.reason)?;
            writeln!(
                out,
                "  fetch   {} ({})",
                fetch.name,
                reason.as_str().unwrap_or_default()
            )?;
        }
        for link in plan.links.iter().filter(|link| link.moved) {
            let mode = &link.mode;
            let pinned = if link.pinned {
                ", but it is pinned"
            } else {
                ""
            };
            match &link.now {
                None => writeln!(out, "  follow  run mode {mode}, which is not here yet")?,
                Some(now) => writeln!(
                    out,
                    "  follow  run mode {mode}, which has moved upstream (here: {now}{pinned})"
                )?,
            }
        }
        for name in &plan.deletions {
            writeln!(out, "  delete  {name}")?;
        }
        for name in &plan.awaiting_deletion {
            writeln!(
                out,
                "  keep    {name} (not wanted any more, not for long enough)"
            )?;
        }
        writeln!(
            out,
            "kernels: {} to fetch, {} as they should be, {} to delete",
            HumanCount(plan.fetch.len() as u64),
            HumanCount(plan.unchanged),
            HumanCount(plan.deletions.len() as u64)
        )?;
        printer::named(out, "refused", &plan.refused, plan.refused_total)?;
        match &plan.guard {
            Some(guard) => writeln!(out, "nothing would be deleted: {guard}"),
            None => Ok(()),
        }
    }
}
