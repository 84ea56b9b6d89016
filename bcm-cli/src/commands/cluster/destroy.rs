//! `bcm cluster destroy`, `clear` and `recover`: what asks first.

use std::io::{self, IsTerminal, Write};

use bcm_lxd::cluster::{
    Destroyed, PROJECT, RecoverError, Recovered, Survivor, clear_machine, clear_project, destroy,
    recover as bring_back, survivors,
};
use serde::Serialize;

use super::{Chosen, as_text};
use crate::args::cluster::{ConfirmedCommand, DestroyCommand};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// Asks for `word` to be typed, unless that was taken care of with `--yes`.
fn confirm(args: &ConfirmedCommand, what: &str, word: &str) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            Failure::usage(format!("{what}; nobody is there to confirm it"))
                .with_hint("give --yes if that is what you want"),
        );
    }
    let mut out = io::stderr();
    let mut line = String::new();
    write!(out, "{what}.\nType {word} to go on: ")
        .and_then(|()| out.flush())
        .and_then(|()| io::stdin().read_line(&mut line))
        .map_err(Failure::new)?;
    if line.trim() == word {
        Ok(())
    } else {
        Err(Failure::usage("not confirmed; nothing was done"))
    }
}

/// What `destroy` and `clear` answer.
#[derive(Debug, Serialize)]
struct TakenAway {
    cluster: String,
    dry_run: bool,
    #[serde(flatten)]
    result: Destroyed,
}

impl Show for TakenAway {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for what in &self.result.removed {
            writeln!(out, "{verb} {what}")?;
        }
        for left in &self.result.left {
            let host = left
                .host
                .as_ref()
                .map(|h| format!("{h}: "))
                .unwrap_or_default();
            writeln!(out, "left: {host}{} ({})", left.what, left.fix)?;
        }
        if self.result.removed.is_empty() && self.result.left.is_empty() {
            writeln!(out, "nothing to remove")?;
        }
        Ok(())
    }
}

/// Takes a cluster away.
pub(super) async fn run(context: &Context, args: &DestroyCommand) -> Result<ExitCode, Failure> {
    let mut chosen = Chosen::new(context, &args.confirmed.reach)?;
    if !args.host.is_empty() {
        return clear_hosts(context, args, chosen).await;
    }
    let hosts = chosen.known.hosts.join(", ");
    if args.confirmed.dry_run {
        let result = Destroyed {
            removed: vec![format!(
                "everything of the cluster {} on {hosts}: instances, images, volumes, networks, pools{}",
                chosen.name,
                if args.keep_engine {
                    ""
                } else {
                    ", and the engine where BCM installed it"
                }
            )],
            left: Vec::new(),
        };
        context.printer.show(&TakenAway {
            cluster: chosen.name,
            dry_run: true,
            result,
        })?;
        return Ok(ExitCode::Done);
    }
    let what = format!(
        "This destroys the cluster {} on {hosts} with all its data",
        chosen.name
    );
    confirm(&args.confirmed, &what, &chosen.name)?;
    let machines = as_text(chosen.machines(context).await);
    let progress = context.reporter.progress();
    let result = destroy(&machines, chosen.known.engine, args.keep_engine, &progress).await;
    let unreached: Vec<String> = result
        .left
        .iter()
        .filter_map(|left| left.host.clone())
        .collect();
    if unreached.is_empty() {
        chosen.registry.forget(&chosen.name)?;
    } else {
        // They are still to be cleared.
        chosen.known.hosts.retain(|host| unreached.contains(host));
        chosen.registry.remember(&chosen.name, chosen.known)?;
    }
    let code = if result.left.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::Partial
    };
    context.printer.show(&TakenAway {
        cluster: chosen.name,
        dry_run: false,
        result,
    })?;
    Ok(code)
}

/// Clears machines whose cluster is gone, or has gone on without them.
async fn clear_hosts(
    context: &Context,
    args: &DestroyCommand,
    mut chosen: Chosen,
) -> Result<ExitCode, Failure> {
    let hosts = args.host.join(", ");
    let dry_run = args.confirmed.dry_run;
    let mut result = Destroyed::default();
    if dry_run {
        result
            .removed
            .push(format!("what BCM installed on {hosts}"));
    } else {
        let what = format!("This clears {hosts} of what BCM installed, with all data");
        confirm(&args.confirmed, &what, &chosen.name)?;
        for (host, machine) in chosen.reach.all(context, &args.host).await {
            let machine = machine.map_err(Failure::new)?;
            clear_machine(&machine, chosen.known.engine, args.keep_engine)
                .await
                .map_err(Failure::new)?;
            chosen.known.hosts.retain(|known| *known != host);
            result
                .removed
                .push(format!("{host}: {}", chosen.known.engine));
        }
        if chosen.known.hosts.is_empty() {
            chosen.registry.forget(&chosen.name)?;
        } else {
            chosen.registry.remember(&chosen.name, chosen.known)?;
        }
    }
    context.printer.show(&TakenAway {
        cluster: chosen.name,
        dry_run,
        result,
    })?;
    Ok(ExitCode::Done)
}

/// Empties BCM's project.
pub(super) async fn clear(context: &Context, args: &ConfirmedCommand) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, &args.reach)?;
    let client = chosen.client(context).await?;
    let result = if args.dry_run {
        let instances = client
            .in_project(PROJECT)
            .instances()
            .await
            .map_err(Failure::new)?;
        instances
            .into_iter()
            .map(|i| format!("instance {}", i.name))
            .collect()
    } else {
        let what = format!(
            "This removes everything that BCM runs on the cluster {}",
            chosen.name
        );
        confirm(args, &what, &chosen.name)?;
        clear_project(&client, PROJECT)
            .await
            .map_err(Failure::new)?
    };
    context.printer.show(&TakenAway {
        cluster: chosen.name,
        dry_run: args.dry_run,
        result: Destroyed {
            removed: result,
            left: Vec::new(),
        },
    })?;
    Ok(ExitCode::Done)
}

/// What `recover` answers.
#[derive(Debug, Serialize)]
struct Answer {
    cluster: String,
    /// The newest first: the one that goes on.
    survivors: Vec<Survivor>,
    recovered: Option<Recovered>,
}

impl Show for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for survivor in &self.survivors {
            writeln!(
                out,
                "{}: database up to entry {}, and {} bytes more",
                survivor.host, survivor.index, survivor.open_bytes
            )?;
        }
        let Some(recovered) = &self.recovered else {
            return writeln!(out, "nothing was done");
        };
        writeln!(
            out,
            "{} goes on alone; its database before: {}",
            recovered.host, recovered.backup
        )?;
        for member in &recovered.lost {
            writeln!(
                out,
                "now remove {member}: bcm cluster remove {member} --force"
            )?;
        }
        Ok(())
    }
}

/// Lets the survivor with the newest database go on alone.
pub(super) async fn recover(
    context: &Context,
    args: &ConfirmedCommand,
) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, &args.reach)?;
    let mut reached = Vec::new();
    for (_, machine) in chosen.machines(context).await {
        match machine {
            Ok(machine) => reached.push(machine),
            Err(error) => context.reporter.warn(&error.to_string()),
        }
    }
    let engine = chosen.known.engine;
    let found = survivors(&reached.iter().collect::<Vec<_>>(), engine).await;
    let newest = found
        .first()
        .and_then(|newest| reached.iter().find(|m| m.host() == newest.host));
    let Some(newest) = newest else {
        return Err(Failure::new(RecoverError::NoSurvivor));
    };
    let mut answer = Answer {
        cluster: chosen.name.clone(),
        survivors: found,
        recovered: None,
    };
    if !args.dry_run {
        let what = format!(
            "The database of {} becomes the only one of the cluster {}; the other members must \
             not come back before they are removed",
            newest.host(),
            chosen.name
        );
        confirm(args, &what, &chosen.name)?;
        answer.recovered = Some(bring_back(newest, engine).await.map_err(Failure::new)?);
    }
    context.printer.show(&answer)?;
    Ok(ExitCode::Done)
}
