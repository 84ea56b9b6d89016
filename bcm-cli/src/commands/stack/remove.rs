//! `bcm stack stop` and `remove`.

use std::io::{self, Write};

use bcm_stack::deploy::{Removed, Seen, Stopped, reachable, remove as take_away, stop as halt};
use serde::Serialize;

use super::cluster::OnCluster;
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
    result: Stopped,
}

impl Show for Halted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for instance in &self.result.stopped {
            writeln!(out, "stopped {instance}")?;
        }
        for instance in &self.result.out_of_reach {
            writeln!(out, "! left {instance}: its member does not answer")?;
        }
        match self.result.stopped.is_empty() {
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
        let result = halt(&cluster.client, &seen).await.map_err(Failure::new)?;
        let code = match result.out_of_reach.is_empty() {
            true => ExitCode::Done,
            false => ExitCode::Partial,
        };
        context.printer.show(&Halted {
            stack: args.stack.name.clone(),
            result,
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
    let cluster = OnCluster::reach(context, &args.reach).await?;
    let seen = cluster.look(name).await?;
    let removed = match args.dry_run {
        true => would(&cluster, name, &seen, args.volumes).await?,
        false => {
            let data = match args.volumes {
                true => " with all its data",
                false => "; its volumes stay",
            };
            let what = format!("This removes the stack {name} from {}{data}", cluster.name);
            ask::confirm(args.yes, &what, name)?;
            let progress = context.reporter.progress();
            let (client, pool) = (&cluster.client, &cluster.pool);
            take_away(client, name, &seen, pool, args.volumes, &progress)
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
        dry_run: args.dry_run,
        removed,
    })?;
    Ok(code)
}

/// What would be removed.
async fn would(
    cluster: &OnCluster,
    name: &str,
    seen: &Seen,
    with_volumes: bool,
) -> Result<Removed, Failure> {
    let volumes = bcm_stack::deploy::volumes_of(&cluster.client, name, &cluster.pool);
    let volumes: Vec<String> = volumes
        .await
        .map_err(Failure::new)?
        .into_iter()
        .map(|volume| volume.name)
        .collect();
    let (volumes, kept) = match with_volumes {
        true => (volumes, Vec::new()),
        false => (Vec::new(), volumes),
    };
    let mut out_of_reach = Vec::new();
    Ok(Removed {
        instances: reachable(seen, &mut out_of_reach),
        volumes,
        kept,
        out_of_reach,
    })
}
