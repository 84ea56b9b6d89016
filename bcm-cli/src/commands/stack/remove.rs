//! `bcm stack stop` and `remove`.

use std::io::{self, Write};

use bcm_stack::deploy::{self, Removed, removal, remove as take_away, stop as halt};
use bcm_stack::mirror::HubMode;
use serde::Serialize;

use super::cluster::OnCluster;
use super::mode::was;
use crate::args::stack::{OfClusterCommand, RemoveCommand};
use crate::commands::Context;
use crate::commands::cluster::{ask, unless_interrupted};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// What `stop` answers.
#[derive(Debug, Serialize)]
struct Halted {
    stack: String,
    #[serde(flatten)]
    done: deploy::Stopped,
}

impl Show for Halted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for instance in &self.done.stopped {
            writeln!(out, "stopped {instance}")?;
        }
        for instance in &self.done.out_of_reach {
            writeln!(out, "! left {instance}: its member does not answer")?;
        }
        match self.done == deploy::Stopped::default() {
            true => writeln!(out, "nothing of {} runs", self.stack),
            false => Ok(()),
        }
    }
}

/// Stops the instances.
pub(super) async fn stop(context: &Context, args: &OfClusterCommand) -> Result<ExitCode, Failure> {
    let left = "what was stopped stays so until `bcm stack start`";
    unless_interrupted(context, left, async {
        let cluster = OnCluster::reach(context, &args.reach).await?;
        let seen = cluster.look(&args.stack.name).await?;
        let done = halt(&cluster.client, &seen).await.map_err(Failure::new)?;
        let code = match done.out_of_reach.is_empty() {
            true => ExitCode::Done,
            false => ExitCode::Partial,
        };
        context.printer.show(&Halted {
            stack: args.stack.name.clone(),
            done,
        })?;
        Ok(code)
    })
    .await
}

/// What `remove` answers.
#[derive(Debug, Serialize)]
struct Gone {
    stack: String,
    dry_run: bool,
    #[serde(flatten)]
    removed: Removed,
    /// What the Hub of the data that is kept is, where that is not a mirror.
    mode: Option<&'static str>,
}

impl Show for Gone {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = match self.dry_run {
            true => "would remove",
            false => "removed",
        };
        let removed = &self.removed;
        for instance in &removed.instances {
            writeln!(out, "{verb} {instance}")?;
        }
        for volume in &removed.volumes {
            writeln!(out, "{verb} the volume {volume}")?;
        }
        for volume in &removed.kept {
            writeln!(
                out,
                "kept the volume {volume}; --volumes removes it with its data"
            )?;
        }
        if let (Some(mode), false) = (self.mode, removed.kept.is_empty()) {
            writeln!(
                out,
                "! its Hub is {mode}: start it again with --mode {mode}"
            )?;
        }
        for what in &removed.out_of_reach {
            writeln!(out, "! left {what}: its member does not answer")?;
        }
        match *removed == Removed::default() {
            true => writeln!(out, "there is nothing of {}", self.stack),
            false => Ok(()),
        }
    }
}

/// Takes the instances away.
pub(super) async fn run(context: &Context, args: &RemoveCommand) -> Result<ExitCode, Failure> {
    let left = "the same command goes on from there";
    unless_interrupted(context, left, take(context, args)).await
}

async fn take(context: &Context, args: &RemoveCommand) -> Result<ExitCode, Failure> {
    let name = &args.stack.name;
    let cluster = OnCluster::reach(context, &args.confirmed.reach).await?;
    let seen = cluster.look(name).await?;
    let removed = match args.confirmed.dry_run {
        true => removal(&seen, args.volumes),
        false => {
            let data = match args.volumes {
                true => " with all its data",
                false => "; its volumes stay",
            };
            let what = format!("This removes the stack {name} from {}{data}", cluster.name);
            ask::confirm(args.confirmed.yes, &what, name)?;
            let progress = context.reporter.progress();
            let (client, pool) = (&cluster.client, &cluster.pool);
            take_away(client, &seen, pool, args.volumes, &progress)
                .await
                .map_err(Failure::new)?
        }
    };
    let code = match removed.out_of_reach.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Partial,
    };
    context.printer.show(&Gone {
        stack: name.clone(),
        dry_run: args.confirmed.dry_run,
        removed,
        mode: was(&seen)
            .filter(|mode| mode.is_writable())
            .map(HubMode::as_str),
    })?;
    Ok(code)
}
