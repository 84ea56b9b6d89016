//! `bcm hub detach`, `attach` and `standalone`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::{self, Attached, Detached, Mode, ModeError};
use serde::Serialize;

use crate::args::publishing::{AttachCommand, DetachCommand};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

fn failure(error: ModeError) -> Failure {
    let hint = match &error {
        ModeError::NotSynced { .. } => {
            "`bcm hub sync` makes a mirror; `bcm hub standalone` makes an empty hub"
        }
        ModeError::WithoutBlocks { .. } => {
            "`bcm hub sync --blocks closure --recheck-blocks` fetches them, where upstream has them"
        }
        ModeError::Followed { .. } => "stop `bcm stack start` or `bcm hub sync --follow` first",
        ModeError::NotEmpty { mode, .. } => match mode {
            Mode::Mirror => {
                "`bcm hub detach` lets a mirror stand alone; or name another folder with --data"
            }
            _ => "it can be published into as it is: `bcm hub publish`",
        },
        ModeError::WouldLose { .. } => {
            "--discard says that they may be lost; --discard --dry-run shows it"
        }
        _ => return Failure::new(error),
    };
    Failure::new(error).with_hint(hint)
}

/// What became of the hub.
#[derive(Debug, Serialize)]
struct Done<T> {
    data: PathBuf,
    dry_run: bool,
    mode: Mode,
    #[serde(flatten)]
    report: T,
}

/// Cuts a mirror off from its upstream.
pub(super) fn detach(context: &Context, args: &DetachCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let report = mode::detach(&Layout::new(&data), args.dry_run).map_err(failure)?;
    if report.not_mirrored > 0 {
        context.reporter.warn(&format!(
            "the last sync could not mirror {} entries, which are not here; `bcm hub status --last` names \
             them",
            report.not_mirrored
        ));
    }
    context.printer.show(&Done {
        data,
        dry_run: args.dry_run,
        mode: Mode::Detached,
        report,
    })?;
    Ok(ExitCode::Done)
}

impl Show for Done<Detached> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (data, report) = (self.data.display(), &self.report);
        if report.already {
            return writeln!(out, "{data} is a detached hub already");
        }
        let upstream = report.upstream.as_deref().unwrap_or("its upstream");
        match self.dry_run {
            true => writeln!(out, "{data} would be detached from {upstream}"),
            false => writeln!(out, "detached {data} from {upstream}"),
        }?;
        if report.kept > 0 {
            writeln!(out, "  {} entries that are gone upstream stay", report.kept)?;
        }
        if self.dry_run {
            return Ok(());
        }
        writeln!(
            out,
            "it stands alone now; `bcm hub publish` and `bcm hub token create` go on"
        )
    }
}

/// What making an empty hub did.
#[derive(Debug, Serialize)]
struct Made {
    already: bool,
}

/// Makes an empty hub.
pub(super) fn standalone(context: &Context, args: &DetachCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let made = mode::standalone(&Layout::new(&data), args.dry_run).map_err(failure)?;
    context.printer.show(&Done {
        data,
        dry_run: args.dry_run,
        mode: Mode::Standalone,
        report: Made { already: !made },
    })?;
    Ok(ExitCode::Done)
}

impl Show for Done<Made> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let data = self.data.display();
        match (self.report.already, self.dry_run) {
            (true, _) => writeln!(out, "{data} is a standalone hub already"),
            (false, true) => writeln!(out, "{data} would become an empty hub that stands alone"),
            (false, false) => writeln!(
                out,
                "{data} is an empty hub that stands alone; `bcm hub publish` and `bcm hub token create` go on"
            ),
        }
    }
}

/// Makes a hub that stands alone a mirror again.
pub(super) fn attach(context: &Context, args: &AttachCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    let report = mode::attach(&layout, args.discard, args.dry_run).map_err(failure)?;
    context.printer.show(&Done {
        data,
        dry_run: args.dry_run,
        mode: Mode::Mirror,
        report,
    })?;
    Ok(ExitCode::Done)
}

impl Show for Done<Attached> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (data, report) = (self.data.display(), &self.report);
        match self.dry_run {
            true => writeln!(
                out,
                "{data}, {}, would become a mirror again and lose",
                report.was
            ),
            false => writeln!(
                out,
                "{data} was {}, is a mirror again, and lost",
                report.was
            ),
        }?;
        writeln!(out, "  its tokens, and {} entries", report.discarded)?;
        for name in &report.first {
            writeln!(out, "    {name}")?;
        }
        match report.discarded.saturating_sub(report.first.len() as u64) {
            0 => {}
            more => writeln!(out, "    and {more} more")?,
        }
        if let Some(snapshot) = &report.snapshot {
            writeln!(out, "the tree as it was is the snapshot {snapshot}")?;
        }
        match self.dry_run {
            true => Ok(()),
            false => writeln!(out, "the next `bcm hub sync` brings what upstream has"),
        }
    }
}
