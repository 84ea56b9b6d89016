//! `bcm hub sync`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::sync::{self, Plan, SyncError, SyncOutcome, SyncReport};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::follow::{follow, is_uneventful};
use crate::args::choices::Output;
use crate::args::hub::SyncCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::{self, Show};
use crate::settings;
use crate::settings::store::StoreSettings;

/// Makes the mirror equal to its upstream, or shows what that would take.
pub(super) async fn run(context: &Context, args: &SyncCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let config = settings::sync::resolve(&context.settings, &args.sync, &args.public)?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let layout = Layout::new(&data);
    let progress = context.reporter.progress();
    let store = StoreSettings::resolve(&context.settings, &args.store.store)?;
    let open = |access| store.open(&layout, access).map_err(Failure::new);
    if args.dry_run {
        let store = open(Access::ReadOnly)?;
        let plan = sync::plan(&layout, &config, store, progress, cancel)
            .await
            .map_err(failure)?;
        let code = exit_code(plan.outcome());
        context.printer.show(&Planned { data, plan })?;
        return Ok(code);
    }
    if args.again {
        let mode = Mode::of(&layout).map_err(Failure::new)?;
        if mode.is_writable() {
            return Err(Failure::new(SyncError::StandsAlone { path: data, mode }));
        }
        let options = settings::follow::resolve(&context.settings, &args.follow)?;
        let shown = AtomicBool::new(false);
        let synced = |report: &SyncReport| {
            // People read the first one whole; programs get every one that says something.
            let first = !shown.swap(true, Ordering::Relaxed);
            if !first && (context.output == Output::Text || is_uneventful(report)) {
                return false;
            }
            let (data, report) = (data.clone(), report.clone());
            // Nobody reading its results is no reason to stop mirroring.
            let _ = context.printer.show(&Synced { data, report });
            true
        };
        return follow(
            context, &store, &layout, &config, &options, &synced, &cancel,
        )
        .await;
    }
    let store = open(Access::ReadWrite)?;
    let report = sync::sync(&layout, &config, store, progress, cancel)
        .await
        .map_err(failure)?;
    let code = exit_code(report.outcome());
    context.printer.show(&Synced { data, report })?;
    Ok(code)
}

/// The failure of a sync, with its exit code.
pub(crate) fn failure(error: SyncError) -> Failure {
    match error {
        SyncError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
        error => Failure::new(error),
    }
}

/// The exit code of a sync that ran to its end.
pub(crate) fn exit_code(outcome: SyncOutcome) -> ExitCode {
    match outcome {
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
        show_report(&self.data, &self.report, out)
    }
}

/// Writes what a sync did for people.
pub(super) fn show_report(data: &Path, report: &SyncReport, out: &mut dyn Write) -> io::Result<()> {
    let counts = &report.counts;
    let (upstream, data) = (&report.upstream, data.display());
    let count = HumanCount;
    if report.nothing_to_do && report.refused_total + report.deferred_total == 0 {
        writeln!(
            out,
            "{data} is equal to {upstream}: {} flists, nothing to do",
            count(counts.flists_unchanged)
        )?;
    } else {
        writeln!(
            out,
            "mirrored {upstream} into {data} in {:.1} s",
            report.seconds
        )?;
        writeln!(
            out,
            "  flists  {} new, {} changed, {} unchanged ({} downloaded)",
            count(counts.flists_new),
            count(counts.flists_changed),
            count(counts.flists_unchanged),
            HumanBytes(counts.flist_bytes)
        )?;
        writeln!(
            out,
            "  names   {} links, {} tags, {} links to tags made or changed",
            count(counts.links),
            count(counts.tags),
            count(counts.taglinks)
        )?;
        writeln!(
            out,
            "  blocks  {} fetched ({}), each checked against its hash",
            count(counts.blocks),
            HumanBytes(counts.block_bytes)
        )?;
    }
    if counts.deleted + counts.awaiting_deletion > 0 {
        writeln!(
            out,
            "  gone    {} deleted, {} kept for now",
            count(counts.deleted),
            count(counts.awaiting_deletion)
        )?;
    }
    if counts.blocks_deleted + counts.blocks_awaiting_deletion > 0 {
        writeln!(
            out,
            "  blocks gone upstream  {} deleted, {} kept for now",
            count(counts.blocks_deleted),
            count(counts.blocks_awaiting_deletion)
        )?;
    }
    printer::named(out, "refused", &report.refused, report.refused_total)?;
    printer::named(
        out,
        "not published yet",
        &report.deferred,
        report.deferred_total,
    )?;
    if let Some(guard) = &report.guard {
        writeln!(out, "nothing was deleted: {guard}")?;
    }
    Ok(())
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
            writeln!(out, "{data} is equal to {upstream}: nothing would be done")?;
        } else {
            writeln!(out, "mirroring {upstream} into {data} would")?;
        }
        for name in &plan.repositories {
            writeln!(out, "  make    {name}/")?;
        }
        for flist in &plan.flists {
            let reason = serde_json::to_value(flist.reason)?;
            let reason = reason.as_str().unwrap_or_default().replace('_', " ");
            writeln!(out, "  fetch   {} ({}; {reason})", flist.place, flist.size)?;
        }
        for link in &plan.links {
            writeln!(out, "  link    {} -> {}", link.place, link.target)?;
        }
        for tag in &plan.tags {
            writeln!(out, "  tag     {tag}")?;
        }
        for link in &plan.taglinks {
            writeln!(out, "  link    {} -> {}", link.place, link.target)?;
        }
        for item in &plan.deletions {
            writeln!(out, "  delete  {item}")?;
        }
        for item in plan.awaiting_deletion.keys() {
            writeln!(out, "  keep    {item} (gone upstream, not for long enough)")?;
        }
        writeln!(
            out,
            "{} flists to fetch, {} as they should be, {} to delete",
            HumanCount(plan.flists.len() as u64),
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
