//! `bcm stack run`.

use std::io::Write;

use bcm_stack::deploy::attempt;
use bcm_stack::mirror::HOLDS;
use bcm_stack::place::instance_name;

use super::cluster::OnCluster;
use crate::args::stack::RunCommand;
use crate::commands::Context;
use crate::commands::cluster::unless_interrupted;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Runs `bcm` in a replica.
pub(super) async fn run(context: &Context, args: &RunCommand) -> Result<ExitCode, Failure> {
    let left = "what was begun in the instance goes on there";
    unless_interrupted(context, left, run_there(context, args)).await
}

async fn run_there(context: &Context, args: &RunCommand) -> Result<ExitCode, Failure> {
    let cluster = OnCluster::reach(context, &args.reach).await?;
    let seen = cluster.look(&args.stack.name).await?;
    // Also where its member does not answer: what is meant for it is nothing for another.
    let first = || {
        let holds = seen.existing.iter();
        let holds = holds.filter(|existing| HOLDS.contains(&existing.kind.as_str()));
        let first = holds.min_by_key(|existing| existing.number)?;
        Some(instance_name(&args.stack.name, &first.kind, first.number))
    };
    let instance = args.instance.clone().or_else(first).ok_or_else(|| {
        Failure::usage(format!(
            "there is no mirror in the stack {}",
            args.stack.name
        ))
        .with_hint("`bcm stack status` shows what there is")
    })?;
    if !seen.found.instances.contains_key(&instance) {
        let text = format!("{instance} is no instance of the stack {}", args.stack.name);
        return Err(Failure::usage(text).with_hint("`bcm stack status` shows them"));
    }
    let mut argv = vec![
        "runuser",
        "-u",
        "bcm",
        "--",
        "/usr/local/bin/bcm",
        "--config",
        "/etc/bcm/bcm.toml",
    ];
    argv.extend(args.arguments.iter().map(String::as_str));
    let ended = attempt(&cluster.client, &instance, &argv, args.timeout)
        .await
        .map_err(Failure::new)?;
    // Its words are its own; a reader that went away is no error.
    let _ = std::io::stderr().write_all(&ended.stderr);
    context.printer.raw(&ended.stdout)?;
    Ok(match ended.status {
        0 => ExitCode::Done,
        2 => ExitCode::Usage,
        3 => ExitCode::Partial,
        4 => ExitCode::Unhealthy,
        130 => ExitCode::Interrupted,
        _ => ExitCode::Failed,
    })
}
