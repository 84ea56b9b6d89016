//! `bcm hub snapshot`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::snapshots::{self, Restored, Snapshot, SnapshotError};
use bcm_hub_sync::store::embedded::Access;
use indicatif::HumanCount;
use serde::Serialize;

use crate::args::snapshot::{NamedCommand, RestoreCommand, SnapshotCommand};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::store;

/// Carries out `bcm hub snapshot …`.
pub(super) fn run(context: &Context, command: &SnapshotCommand) -> Result<ExitCode, Failure> {
    let layout = |data: Option<&Path>| -> Result<Layout, Failure> {
        Ok(Layout::new(context.settings.data(data)?.0))
    };
    let change = |command: &NamedCommand, done: &'static str, work: Work| {
        let layout = layout(command.data.data.as_deref())?;
        work(&layout, &command.name).map_err(failure)?;
        let name = Some(command.name.clone());
        context.printer.show(&Changed { name, done })?;
        Ok(ExitCode::Done)
    };
    match command {
        SnapshotCommand::List(args) => list(context, &layout(args.data.as_deref())?),
        SnapshotCommand::Restore(args) => {
            restore(context, args, &layout(args.named.data.data.as_deref())?)
        }
        SnapshotCommand::Release(args) => {
            let layout = layout(args.data.as_deref())?;
            let name = snapshots::release(&layout).map_err(failure)?;
            let done = "released";
            context.printer.show(&Changed { name, done })?;
            Ok(ExitCode::Done)
        }
        SnapshotCommand::Pin(args) => change(args, "pinned", snapshots::pin),
        SnapshotCommand::Unpin(args) => change(args, "unpinned", snapshots::unpin),
        SnapshotCommand::Drop(args) => change(args, "dropped", snapshots::drop),
    }
}

type Work = fn(&Layout, &str) -> Result<(), SnapshotError>;

fn failure(error: SnapshotError) -> Failure {
    let hint = match &error {
        SnapshotError::Unknown { .. } => "`bcm hub snapshot list` names them",
        SnapshotError::Pinned { .. } => "`bcm hub snapshot unpin` lets it go",
        SnapshotError::Damaged { .. } => "`bcm hub snapshot drop` removes it",
        _ => return Failure::new(error),
    };
    Failure::new(error).with_hint(hint)
}

/// What was done to which snapshot.
#[derive(Debug, Serialize)]
struct Changed {
    name: Option<String>,
    done: &'static str,
}

impl Show for Changed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.name {
            Some(name) => writeln!(out, "{} {name}", self.done),
            None => writeln!(out, "no snapshot is held"),
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    data: PathBuf,
    snapshots: Vec<Snapshot>,
}

fn list(context: &Context, layout: &Layout) -> Result<ExitCode, Failure> {
    let snapshots = snapshots::list(layout).map_err(failure)?;
    let damaged = snapshots.iter().any(|snapshot| snapshot.damaged.is_some());
    let data = layout.root().to_owned();
    context.printer.show(&List { data, snapshots })?;
    Ok(match damaged {
        true => ExitCode::Unhealthy,
        false => ExitCode::Done,
    })
}

impl Show for List {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.snapshots.is_empty() {
            return writeln!(out, "{} has no snapshots", self.data.display());
        }
        let rows: Vec<Vec<String>> = self
            .snapshots
            .iter()
            .map(|snapshot| {
                let mut notes = Vec::new();
                notes.extend(snapshot.pinned.then_some("pinned"));
                notes.extend(snapshot.held.then_some("restored, syncs wait"));
                let damaged = snapshot.damaged.as_deref();
                notes.extend(damaged);
                vec![
                    snapshot.name.clone(),
                    format!("{} repositories", HumanCount(snapshot.repositories)),
                    format!("{} flists", HumanCount(snapshot.flists)),
                    notes.join(", "),
                ]
            })
            .collect();
        table(out, &rows)
    }
}

/// What restoring did, or would do.
#[derive(Debug, Serialize)]
struct Done {
    data: PathBuf,
    dry_run: bool,
    #[serde(flatten)]
    restored: Restored,
}

fn restore(context: &Context, args: &RestoreCommand, layout: &Layout) -> Result<ExitCode, Failure> {
    let store = store::open(
        &context.settings,
        &args.store.store,
        layout,
        Access::ReadOnly,
    )?;
    let (name, hold) = (&args.named.name, !args.no_hold);
    let progress = context.reporter.progress();
    let restored = snapshots::restore(layout, name, &*store, hold, args.dry_run, &*progress)
        .map_err(failure)?;
    let code = match restored.failed.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Partial,
    };
    context.printer.show(&Done {
        data: layout.root().to_owned(),
        dry_run: args.dry_run,
        restored,
    })?;
    Ok(code)
}

impl Show for Done {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let restored = &self.restored;
        let name = &restored.name;
        match self.dry_run {
            true => writeln!(out, "{name} is whole; restoring it would"),
            false => writeln!(out, "restored {name} in {}", self.data.display()),
        }?;
        writeln!(
            out,
            "  put back {} flists and {} links and tags, remove {} entries",
            HumanCount(restored.flists),
            HumanCount(restored.links),
            HumanCount(restored.removed)
        )?;
        for failed in &restored.failed {
            writeln!(out, "  not put back: {failed}")?;
        }
        if restored.held && !self.dry_run {
            writeln!(out, "syncs wait until `bcm hub snapshot release`")?;
        }
        Ok(())
    }
}
