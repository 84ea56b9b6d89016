//! `bcm hub verify`.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::verify::{self, Listed, RepairReport, VerifyError, VerifyOptions, VerifyReport};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::hub::VerifyCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings;
use crate::settings::store;

/// There is nothing to verify.
#[derive(Debug, thiserror::Error)]
#[error("{} holds no mirror", path.display())]
struct NoMirror {
    path: PathBuf,
}

/// Proves that the mirror is whole.
pub(super) async fn run(context: &Context, args: &VerifyCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    if !verify::is_mirror(&layout).map_err(Failure::new)? {
        // A mistyped folder must not look like a mirror without faults.
        return Err(Failure::new(NoMirror { path: data })
            .with_hint("--data names the data folder; `bcm hub sync` makes a mirror in it"));
    }
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let access = match args.remove_damaged || args.repair {
        true => Access::ReadWrite,
        false => Access::ReadOnly,
    };
    let store = store::open(&context.settings, &args.store.store, &layout, access)?;
    let options = VerifyOptions {
        remove_damaged: args.remove_damaged || args.repair,
        mend: args.repair,
        scratch: args.scratch.clone(),
        ..VerifyOptions::default()
    };
    if args.repair {
        return repair(context, args, &layout, store, &options, cancel).await;
    }
    let report = verify(context, &layout, store, &options, &cancel).await?;
    let verified = Verified {
        data,
        clean: report.is_clean(),
        report,
    };
    context.printer.show(&verified)?;
    Ok(match verified.clean {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    })
}

/// Verifies a mirror whose blocks are in `store`.
///
/// # Errors
/// Something cannot be read at all, or it was interrupted.
pub(crate) async fn verify(
    context: &Context,
    layout: &Layout,
    store: Arc<dyn BlockStore>,
    options: &VerifyOptions,
    cancel: &CancellationToken,
) -> Result<VerifyReport, Failure> {
    let progress = context.reporter.progress();
    verify::verify(layout, store, options, progress, cancel.clone())
        .await
        .map_err(|error| match error {
            VerifyError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
            error => Failure::new(error),
        })
}

/// Verifies and fetches again.
async fn repair(
    context: &Context,
    args: &VerifyCommand,
    layout: &Layout,
    store: Arc<dyn BlockStore>,
    options: &VerifyOptions,
    cancel: CancellationToken,
) -> Result<ExitCode, Failure> {
    let config = settings::sync::resolve(&context.settings, &args.sync, &args.public)?;
    let progress = context.reporter.progress();
    let report = verify::repair(layout, store, options, &config, progress, cancel)
        .await
        .map_err(|error| match error.is_cancelled() {
            true => Failure::new(error).with_code(ExitCode::Interrupted),
            false => Failure::new(error),
        })?;
    let repaired = Repaired {
        data: layout.root().to_owned(),
        clean: report.is_clean(),
        report,
    };
    context.printer.show(&repaired)?;
    Ok(match (repaired.clean, repaired.report.is_complete()) {
        (false, _) => ExitCode::Unhealthy,
        (true, false) => ExitCode::Partial,
        (true, true) => ExitCode::Done,
    })
}

/// What was found, fetched and left, and where.
#[derive(Debug, Serialize)]
struct Repaired {
    data: PathBuf,
    clean: bool,
    #[serde(flatten)]
    report: RepairReport,
}

impl Show for Repaired {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        show_report(&self.report.found, out)?;
        let (Some(sync), Some(left)) = (&self.report.sync, &self.report.left) else {
            return Ok(());
        };
        super::sync::show_report(&self.data, sync, out)?;
        show_report(left, out)
    }
}

/// What was found, and where.
#[derive(Debug, Serialize)]
struct Verified {
    data: PathBuf,
    clean: bool,
    #[serde(flatten)]
    report: VerifyReport,
}

impl Show for Verified {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        show_report(&self.report, out)?;
        let report = &self.report;
        match report.damaged_flists.count + report.damaged_names.count {
            // Of blocks it is said already.
            _ if report.damaged_blocks.count > 0 => Ok(()),
            0 => Ok(()),
            _ => writeln!(out, "`bcm hub verify --repair` fetches them again"),
        }
    }
}

/// Writes what was found for people.
pub(crate) fn show_report(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "verified {} blocks ({}), {} flists, {} links and {} tags in {:.1} s: {}",
        HumanCount(report.blocks),
        HumanBytes(report.block_bytes),
        HumanCount(report.flists),
        HumanCount(report.links),
        HumanCount(report.tags),
        report.seconds,
        match report.is_clean() {
            true => "all of it is whole",
            false => "damage was found",
        }
    )?;
    listed(out, "damaged blocks", &report.damaged_blocks, |block| {
        format!("{}: {}", block.key, block.reason)
    })?;
    listed(out, "damaged flists", &report.damaged_flists, |flist| {
        format!("{}: {}", flist.place, flist.reason)
    })?;
    listed(
        out,
        "damaged links, tags and repositories",
        &report.damaged_names,
        |name| format!("{}: {}", name.item, name.reason),
    )?;
    listed(
        out,
        "links that lead nowhere, as upstream's own do",
        &report.dangling,
        ToString::to_string,
    )?;
    listed(out, "notes", &report.notes, String::clone)?;
    if report.mended_blocks > 0 {
        writeln!(
            out,
            "{} blocks were mended from their replicas",
            HumanCount(report.mended_blocks)
        )?;
    } else if report.missing_copies > 0 {
        writeln!(
            out,
            "{} copies are missing; `bcm hub verify --repair` makes them from the replicas",
            HumanCount(report.missing_copies)
        )?;
    }
    if report.removed_blocks > 0 {
        writeln!(
            out,
            "{} damaged blocks were removed; the next sync fetches them again",
            HumanCount(report.removed_blocks)
        )?;
    } else if report.damaged_blocks.count > 0 {
        writeln!(out, "`bcm hub verify --repair` fetches them again")?;
    }
    Ok(())
}

fn listed<T, D: Display>(
    out: &mut dyn Write,
    what: &str,
    list: &Listed<T>,
    line: impl Fn(&T) -> D,
) -> io::Result<()> {
    if list.count == 0 {
        return Ok(());
    }
    writeln!(out, "{what}: {}", HumanCount(list.count))?;
    for one in &list.first {
        writeln!(out, "  {}", line(one))?;
    }
    match list.count.saturating_sub(list.first.len() as u64) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more", HumanCount(more)),
    }
}
