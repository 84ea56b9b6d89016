//! `bcm hub gc`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_hub_sync::gc::{self, GcError, GcOptions, GcReport};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::Access;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::args::hub::GcCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings::{key, store};

/// Gives back the room of blocks that nothing needs any more.
pub(super) async fn run(context: &Context, args: &GcCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let options = GcOptions {
        dry_run: args.dry_run,
        grace: context.settings.one(&key::GRACE, args.grace)?,
        scratch: args.scratch.clone(),
        only_named: args.only_named,
        ..GcOptions::default()
    };
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let layout = Layout::new(&data);
    gc::check(&layout).map_err(failure)?;
    let access = match args.dry_run {
        true => Access::ReadOnly,
        false => Access::ReadWrite,
    };
    let store = store::open(&context.settings, &args.store.store, &layout, access)?;
    let progress = context.reporter.progress();
    let report = gc::gc(&layout, store, &options, progress, cancel)
        .await
        .map_err(failure)?;
    context.printer.show(&Collected { data, report })?;
    Ok(ExitCode::Done)
}

fn failure(error: GcError) -> Failure {
    match error {
        GcError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
        GcError::Flist { .. } | GcError::Gone { .. } | GcError::NoFlists { .. } => {
            Failure::new(error)
                .with_hint("nothing was removed; `bcm hub verify --repair` comes first")
        }
        GcError::WholeNamespace => Failure::new(error).with_hint(
            "where it is not to be mirrored any more, `--only-named` keeps what flists name",
        ),
        GcError::NoMirror { .. } => Failure::new(error)
            .with_hint("--data names the data folder; `bcm hub sync` makes a mirror in it"),
        error => Failure::new(error),
    }
}

/// What was removed, and where.
#[derive(Debug, Serialize)]
struct Collected {
    data: PathBuf,
    #[serde(flatten)]
    report: GcReport,
}

impl Show for Collected {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "{} {} blocks ({}) and {} old flists from {} in {:.1} s",
            match report.dry_run {
                true => "would remove",
                false => "removed",
            },
            HumanCount(report.removed),
            HumanBytes(report.removed_bytes),
            HumanCount(report.removed_flists),
            self.data.display(),
            report.seconds
        )?;
        writeln!(
            out,
            "{} blocks are needed by {} flists",
            HumanCount(report.kept),
            HumanCount(report.flists)
        )?;
        match report.dry_run {
            true => Ok(()),
            false => writeln!(out, "the disk has {} more room", HumanBytes(report.freed)),
        }
    }
}
