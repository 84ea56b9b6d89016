//! `bcm cluster destroy`, `clear` and `recover`: what asks first.

use std::io::{self, Write};

use bcm_lxd::cluster::{
    Destroyed, PROJECT, RecoverError, Recovered, Survivor, Working, clear_machine, clear_project,
    destroy, recover as bring_back, survivors,
};
use bcm_provision::vm::Fleet;
use serde::Serialize;

use super::{Chosen, as_text, ask, keep_log, registry, unless_interrupted, vm, with_log};
use crate::args::cluster::{ConfirmedCommand, DestroyCommand};
use crate::commands::Context;
use crate::connect::Reach;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt::{self, Words};
use crate::printer::Show;
use crate::registry::{Known, RegistryError};

/// What `destroy` and `clear` answer.
#[derive(Debug, Serialize)]
struct TakenAway {
    /// `null` where the machine's cluster is not known any more.
    cluster: Option<String>,
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
    if !args.host.is_empty() {
        return clear_hosts(context, args).await;
    }
    if let Some(fleet) = vm::to_destroy(context, args.confirmed.reach.cluster.as_deref())? {
        return destroy_machines(context, args, &fleet).await;
    }
    let mut chosen = Chosen::new(context, &args.confirmed.reach)?;
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
            cluster: Some(chosen.name),
            dry_run: true,
            result,
        })?;
        return Ok(ExitCode::Done);
    }
    let what = format!(
        "This destroys the cluster {} on {hosts} with all its data",
        chosen.name
    );
    ask::confirm(args.confirmed.yes, &what, &chosen.name)?;
    keep_log(context, "destroy");
    let cancel = interrupt::watch_saying(&context.reporter, WORDS).map_err(Failure::new)?;
    let machines = cancel.run_until_cancelled(chosen.machines(context)).await;
    let machines =
        machines.ok_or_else(|| Failure::interrupted("interrupted; nothing was removed"))?;
    let result = destroy(
        &as_text(machines),
        chosen.known.engine,
        args.keep_engine,
        &context.reporter.progress(),
        || cancel.is_cancelled(),
    )
    .await;
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
    let code = match (result.left.is_empty(), cancel.is_cancelled()) {
        (true, _) => ExitCode::Done,
        (false, true) => ExitCode::Interrupted,
        (false, false) => ExitCode::Partial,
    };
    context.printer.show(&TakenAway {
        cluster: Some(chosen.name),
        dry_run: false,
        result,
    })?;
    Ok(with_log(context, code))
}

/// Takes a cluster away with the virtual machines that were made for it, whatever state they are in.
async fn destroy_machines(
    context: &Context,
    args: &DestroyCommand,
    fleet: &Fleet,
) -> Result<ExitCode, Failure> {
    let name = fleet.cluster();
    if args.keep_engine {
        return Err(Failure::usage(format!(
            "the cluster {name} is of virtual machines, which are taken away as a whole; leave --keep-engine away"
        )));
    }
    let dry_run = args.confirmed.dry_run;
    let result = if dry_run {
        Destroyed {
            removed: vec![format!(
                "the virtual machines of the cluster {name}, with all their data"
            )],
            left: Vec::new(),
        }
    } else {
        let what =
            format!("This destroys the virtual machines of the cluster {name} with all their data");
        ask::confirm(args.confirmed.yes, &what, name)?;
        keep_log(context, "destroy");
        // Half of it would be found again: it takes no time.
        let _ignored = interrupt::watch_saying(&context.reporter, WORDS).map_err(Failure::new)?;
        let result = vm::destroy(context, name).await?;
        registry(context)?.forget(name)?;
        result
    };
    context.printer.show(&TakenAway {
        cluster: Some(name.to_owned()),
        dry_run,
        result,
    })?;
    Ok(ExitCode::Done)
}

/// What is said while a cluster is taken away.
const WORDS: Words = Words {
    first: "stopping after what runs; once more stops at once",
    second: Some("stopped in the middle; the same command goes on from what it finds"),
};

/// Clears machines whose cluster is gone, or has gone on without them; their cluster need not be
/// known any more.
async fn clear_hosts(context: &Context, args: &DestroyCommand) -> Result<ExitCode, Failure> {
    let reach_args = &args.confirmed.reach;
    let mut registry = registry(context)?;
    let known = match registry.find(reach_args.cluster.as_deref()) {
        Ok((name, known)) => Some((name.to_owned(), known.clone())),
        Err(RegistryError::NoneActive) => None,
        Err(error) => return Err(error.into()),
    };
    let hosts = args.host.join(", ");
    let dry_run = args.confirmed.dry_run;
    let mut result = Destroyed::default();
    if dry_run {
        result
            .removed
            .push(format!("what BCM installed on {hosts}"));
    } else {
        let what = format!("This clears {hosts} of what BCM installed, with all data");
        let word = known.as_ref().map_or(&args.host[0], |(name, _)| name);
        ask::confirm(args.confirmed.yes, &what, word)?;
        keep_log(context, "destroy");
        let ssh_config = known
            .as_ref()
            .and_then(|(_, known)| known.ssh_config.as_ref());
        let reach = Reach::new(context, reach_args, ssh_config);
        let engine = known.as_ref().map(|(_, known)| known.engine);
        let cancel = interrupt::watch_saying(&context.reporter, WORDS).map_err(Failure::new)?;
        let machines = cancel
            .run_until_cancelled(reach.all(context, &args.host))
            .await;
        let machines =
            machines.ok_or_else(|| Failure::interrupted("interrupted; nothing was removed"))?;
        let working = match &known {
            Some((name, known)) => goes_on(context, &reach, name, known, &args.host).await,
            None => None,
        };
        let mut cleared = Vec::new();
        for (host, machine) in machines {
            if cancel.is_cancelled() {
                return Err(Failure::interrupted(format!("interrupted before {host}"))
                    .with_hint("run the same command again"));
            }
            let machine = machine.map_err(Failure::new)?;
            let engine = clear_machine(&machine, engine, working.as_ref(), args.keep_engine)
                .await
                .map_err(Failure::new)?;
            result.removed.push(format!("{host}: {engine}"));
            cleared.push(host);
        }
        if let Some((name, mut known)) = known.clone() {
            known.hosts.retain(|host| !cleared.contains(host));
            match known.hosts.is_empty() {
                true => registry.forget(&name)?,
                false => registry.remember(&name, known)?,
            }
        }
    }
    context.printer.show(&TakenAway {
        cluster: known.map(|(name, _)| name),
        dry_run,
        result,
    })?;
    Ok(ExitCode::Done)
}

/// The cluster `name` as its first member says that answers, those at `but` left out.
async fn goes_on(
    context: &Context,
    reach: &Reach,
    name: &str,
    known: &Known,
    but: &[String],
) -> Option<Working> {
    let others = known.hosts.iter().filter(|host| !but.contains(host));
    let others: Vec<String> = others.cloned().collect();
    for (_, machine) in reach.all(context, &others).await {
        let options = bcm_lxd::ClientOptions::default();
        let client = match machine {
            Ok(machine) => machine.engine(known.engine, options).await,
            Err(_) => continue,
        };
        if let Ok(Some(client)) = client
            && let Ok(members) = client.cluster_members().await
        {
            let name = name.to_owned();
            return Some(Working { name, members });
        }
    }
    None
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
        ask::confirm(args.yes, &what, &chosen.name)?;
        keep_log(context, "clear");
        let cleared = async { clear_project(&client, PROJECT).await.map_err(Failure::new) };
        let left = "what was not removed yet is still there; the same command goes on";
        unless_interrupted(context, left, cleared).await?
    };
    context.printer.show(&TakenAway {
        cluster: Some(chosen.name),
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
            writeln!(out, "{survivor}")?;
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

/// What is said while a database is recovered.
const RECOVER: Words = Words {
    first: "a recovery is not left in the middle: it ends in a moment; once more stops waiting for it",
    second: Some("the recovery goes on there; `bcm cluster status` shows how it ended"),
};

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
        for survivor in &answer.survivors {
            context.reporter.say(&survivor.to_string());
        }
        ask::confirm(args.yes, &what, &chosen.name)?;
        keep_log(context, "recover");
        // Bounded by its own deadline; half of it would be worse than all of it.
        let _ignored = interrupt::watch_saying(&context.reporter, RECOVER).map_err(Failure::new)?;
        answer.recovered = Some(bring_back(newest, engine).await.map_err(Failure::new)?);
    }
    context.printer.show(&answer)?;
    Ok(ExitCode::Done)
}
