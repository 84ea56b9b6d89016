//! `bcm cluster remove`, `evacuate` and `restore`.

use std::io::{self, Write};

use bcm_lxd::cluster::{Removal, RemovedMember, remove_member, set_service};
use bcm_lxd::types::MemberStateAction;
use serde::Serialize;

use super::{Chosen, keep_log, unless_interrupted, vm};
use crate::args::cluster::{MemberCommand, RemoveCommand};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// What `remove` answers.
#[derive(Debug, Serialize)]
struct Removed {
    #[serde(flatten)]
    member: RemovedMember,
    /// Its machine, where that could be cleared too.
    host: Option<String>,
    /// What is left on the machine, and why.
    left: Option<String>,
}

impl Show for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let list = |names: &[String]| names.join(", ");
        writeln!(out, "removed {}", self.member.name)?;
        if !self.member.moved.is_empty() {
            writeln!(out, "moved first: {}", list(&self.member.moved))?;
        }
        if !self.member.lost.is_empty() {
            writeln!(out, "lost: {}", list(&self.member.lost))?;
        }
        if let Some(host) = &self.host {
            writeln!(out, "{host} is as it was before")?;
        }
        if let Some(left) = &self.left {
            writeln!(out, "left: {left}")?;
        }
        Ok(())
    }
}

/// Drains and removes a member, and clears its machine.
pub(super) async fn remove(context: &Context, args: &RemoveCommand) -> Result<ExitCode, Failure> {
    let mut chosen = Chosen::new(context, &args.reach)?;
    let engine = chosen.known.engine;
    let mut clients = Vec::new();
    let mut left = None;
    for (host, machine) in chosen.machines(context).await {
        let machine = match machine {
            Ok(machine) => machine,
            Err(error) => {
                context.reporter.warn(&error.to_string());
                continue;
            }
        };
        let asked = async {
            let options = bcm_lxd::ClientOptions::default();
            let Some(client) = machine.engine(engine, options).await? else {
                return Ok(None);
            };
            let name = client.cluster().await?.server_name;
            Ok::<_, bcm_lxd::host::MachineError>(Some((client, name)))
        };
        match asked.await {
            Ok(Some((client, name))) => clients.push((host, machine, client, name)),
            Ok(None) => {}
            Err(error) => context.reporter.warn(&error.to_string()),
        }
    }
    // Through another member: the one that leaves restarts its daemon.
    let Some((_, _, client, _)) = clients.iter().find(|(_, _, _, name)| *name != args.member)
    else {
        return Err(Failure::usage("no other member of the cluster answers"));
    };
    keep_log(context, "remove");
    let answers = clients.iter().any(|(_, _, _, name)| *name == args.member);
    let removal = match (args.force, answers) {
        (false, _) => Removal::Drained,
        (true, true) => Removal::Forced,
        (true, false) => Removal::Abandoned,
    };
    let removing = async {
        remove_member(client, &args.member, removal)
            .await
            .map_err(Failure::new)
    };
    let unfinished = "the cluster may still be at it: `bcm cluster status` shows how it is, and the \
                      same command goes on";
    let member = unless_interrupted(context, unfinished, removing).await?;
    let mut host = None;
    if let Some((at, machine, _, _)) = clients.iter().find(|(_, _, _, name)| *name == args.member) {
        let cleared =
            bcm_lxd::host::remove(machine.remote().as_ref(), at, engine, args.keep_engine).await;
        match cleared {
            Ok(()) => host = Some(at.clone()),
            Err(error) => left = Some(error.to_string()),
        }
        chosen.known.hosts.retain(|known| known != at);
    } else {
        left = Some(
            "its machine could not be reached; when it is back, \
             `bcm cluster destroy --host HOST` clears it"
                .to_owned(),
        );
        forget_lost(
            &mut chosen,
            &clients
                .iter()
                .map(|(at, ..)| at.as_str())
                .collect::<Vec<_>>(),
            client,
        )
        .await;
    }
    // One that was made for the cluster goes with its membership.
    for gone in vm::not_of(context, &chosen.name, &chosen.known.hosts)? {
        vm::remove(context, &chosen.name, &gone).await?;
        left = None;
        host = Some(gone);
    }
    chosen.registry.remember(&chosen.name, chosen.known)?;
    let code = if left.is_some() {
        ExitCode::Partial
    } else {
        ExitCode::Done
    };
    context.printer.show(&Removed { member, host, left })?;
    Ok(code)
}

/// Forgets the host of a member that is gone: the one that did not answer, where that is clear.
async fn forget_lost(chosen: &mut Chosen, answered: &[&str], client: &bcm_lxd::Client) {
    let silent: Vec<String> = chosen
        .known
        .hosts
        .iter()
        .filter(|host| !answered.contains(&host.as_str()))
        .cloned()
        .collect();
    let members = client
        .cluster_members()
        .await
        .map(|m| m.len())
        .unwrap_or(usize::MAX);
    // As many answer as there are members: every silent machine is one that was removed.
    if answered.len() == members {
        chosen.known.hosts.retain(|host| !silent.contains(host));
    }
}

/// Takes a member out of service.
pub(super) async fn evacuate(context: &Context, args: &MemberCommand) -> Result<ExitCode, Failure> {
    serve(
        context,
        args,
        MemberStateAction::Evacuate,
        "is out of service",
    )
    .await
}

/// Takes a member back into service.
pub(super) async fn restore(context: &Context, args: &MemberCommand) -> Result<ExitCode, Failure> {
    serve(
        context,
        args,
        MemberStateAction::Restore,
        "is back in service",
    )
    .await
}

async fn serve(
    context: &Context,
    args: &MemberCommand,
    action: MemberStateAction,
    done: &str,
) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, &args.reach)?;
    let client = chosen.client(context).await?;
    let command = match action {
        MemberStateAction::Evacuate => "evacuate",
        MemberStateAction::Restore => "restore",
    };
    keep_log(context, command);
    let served = async {
        set_service(&client, &args.member, action)
            .await
            .map_err(Failure::new)
    };
    let unfinished = "the cluster may still be at it: `bcm cluster status` shows how it is";
    unless_interrupted(context, unfinished, served).await?;
    context.reporter.say(&format!("{} {done}", args.member));
    Ok(ExitCode::Done)
}
