//! `bcm cluster create`, `plan` and `add`: the same code, with and without changes.

use std::io::{self, IsTerminal, Write};

use bcm_lxd::cluster::{
    ApplyOptions, ClusterSpec, Finding, MemberSpec, Plan, PlanError, Severity, apply, health,
    observe, plan,
};
use bcm_lxd::host::Machine;
use serde::Serialize;

use super::Chosen;
use crate::args::cluster::{AddCommand, Driver, SpecArgs};
use crate::commands::Context;
use crate::connect::Reach;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::registry::Known;
use crate::settings::cluster::{ClusterSettingsError, resolve};

/// What `create` answers.
#[derive(Debug, Serialize)]
struct Created<'a> {
    cluster: &'a str,
    engine: bcm_lxd::Flavour,
    dry_run: bool,
    /// The steps of the plan, in words.
    steps: Vec<String>,
    /// What was done, with seconds.
    done: &'a [(String, f64)],
    warnings: &'a [Finding],
    healthy: Option<bool>,
    survives_losses: Option<usize>,
}

impl Show for Created<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let n = self.steps.len();
        if self.dry_run {
            for step in &self.steps {
                writeln!(out, "would: {step}")?;
            }
            return writeln!(out, "{n} changes; nothing was done");
        }
        for (step, seconds) in self.done {
            writeln!(out, "{seconds:6.1} s  {step}")?;
        }
        let survives = match self.survives_losses {
            Some(1) => "survives 1 more loss".to_owned(),
            Some(n) => format!("survives {n} more losses"),
            None => "without quorum".to_owned(),
        };
        writeln!(
            out,
            "cluster {} ({}): {n} changes; {}, {survives}",
            self.cluster,
            self.engine,
            if self.healthy == Some(true) {
                "healthy"
            } else {
                "NOT healthy"
            },
        )
    }
}

/// Makes, finishes or grows a cluster.
pub(super) async fn run(
    context: &Context,
    args: &SpecArgs,
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    let spec = match resolve(&context.settings, args) {
        Err(ClusterSettingsError::NoMachines) if io::stdin().is_terminal() => {
            resolve(&context.settings, &ask(args)?)
        }
        result => result,
    };
    let spec = spec.map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let reach = Reach::new(context, &args.reach, None);
    make(context, &spec, &reach, dry_run).await
}

/// Adds machines to a cluster that is there.
pub(super) async fn add(context: &Context, args: &AddCommand) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, &args.reach)?;
    let known = SpecArgs {
        name: Some(chosen.name.clone()),
        host: chosen
            .known
            .hosts
            .iter()
            .chain(&args.hosts)
            .cloned()
            .collect(),
        ..SpecArgs::default()
    };
    let mut spec = resolve(&context.settings, &known)
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    spec.engine = match chosen.known.engine {
        bcm_lxd::Flavour::Lxd => bcm_lxd::cluster::EngineChoice::Lxd,
        bcm_lxd::Flavour::Incus => bcm_lxd::cluster::EngineChoice::Incus,
    };
    make(context, &spec, &chosen.reach, args.dry_run).await
}

/// Asks which machines, as a person at a terminal expects.
fn ask(args: &SpecArgs) -> Result<SpecArgs, Failure> {
    let mut args = args.clone();
    let mut out = io::stderr();
    let question = "Make the cluster of (l)ocal: this machine, or (s)sh: other machines? ";
    let answer = ask_line(&mut out, question).map_err(Failure::new)?;
    match answer.as_str() {
        "l" | "local" => args.driver = Some(Driver::Local),
        "s" | "ssh" => {
            let question = "Machines, as user@host, separated by spaces: ";
            let hosts = ask_line(&mut out, question).map_err(Failure::new)?;
            args.host = hosts.split_whitespace().map(str::to_owned).collect();
        }
        _ => return Err(Failure::usage("nothing was chosen")),
    }
    Ok(args)
}

fn ask_line(out: &mut dyn Write, question: &str) -> io::Result<String> {
    write!(out, "{question}")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

async fn make(
    context: &Context,
    spec: &ClusterSpec,
    reach: &Reach,
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    spec.validate()
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let hosts: Vec<String> = spec.members.iter().map(|m| m.host.clone()).collect();
    context
        .reporter
        .say(&format!("connecting to {}", hosts.join(", ")));
    let machines = connected(context, reach, &hosts).await?;
    let observed = observe(&machines)
        .await
        .map_err(|errors| all_of(context, errors))?;
    let (plan, warnings) = match plan(spec, &observed) {
        Ok(result) => result,
        Err(PlanError::Checks(findings)) => {
            report(context, &findings);
            return Err(Failure::new(PlanError::Checks(findings))
                .with_hint("mend what is named above, and run the same command again"));
        }
        Err(error) => return Err(Failure::new(error)),
    };
    report(context, &warnings);
    let mut created = Created {
        cluster: &spec.name,
        engine: plan.flavour,
        dry_run,
        steps: plan.steps.iter().map(ToString::to_string).collect(),
        done: &[],
        warnings: &warnings,
        healthy: None,
        survives_losses: None,
    };
    if dry_run {
        context.printer.show(&created)?;
        return Ok(ExitCode::Done);
    }
    remember(context, spec, &plan, reach)?;
    let applied = apply(
        &plan,
        &machines,
        &ApplyOptions::default(),
        &context.reporter.progress(),
        || cancel.is_cancelled(),
    )
    .await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            let code = if cancel.is_cancelled() {
                ExitCode::Interrupted
            } else {
                ExitCode::Failed
            };
            return Err(Failure::new(error).with_code(code).with_hint(
                "run the same command again: it goes on from here; \
                 `bcm cluster destroy` takes back what was done",
            ));
        }
    };
    let reached: Vec<_> = machines
        .into_iter()
        .map(|machine| (machine.host().to_owned(), Ok(machine)))
        .collect();
    let limit = std::time::Duration::from_secs(15);
    let health = health(&reached, plan.flavour, limit).await;
    for problem in &health.problems {
        context.reporter.warn(problem);
    }
    created.done = &applied.steps;
    created.healthy = Some(health.healthy);
    created.survives_losses = health.survives_losses;
    context.printer.show(&created)?;
    Ok(match health.healthy {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    })
}

async fn connected(
    context: &Context,
    reach: &Reach,
    hosts: &[String],
) -> Result<Vec<Machine>, Failure> {
    let mut machines = Vec::new();
    let mut errors = Vec::new();
    for (_, machine) in reach.all(context, hosts).await {
        match machine {
            Ok(machine) => machines.push(machine),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(machines)
    } else {
        Err(all_of(context, errors))
    }
}

/// All errors but the last as warnings, the last as the failure: each is shown once.
fn all_of<E: std::error::Error + Send + Sync + 'static>(
    context: &Context,
    mut errors: Vec<E>,
) -> Failure {
    let last = errors.pop();
    for error in errors {
        context.reporter.warn(&error.to_string());
    }
    match last {
        Some(error) => Failure::new(error),
        None => Failure::usage("no machine was given"),
    }
}

fn report(context: &Context, findings: &[Finding]) {
    for finding in findings {
        let host = finding
            .host
            .as_ref()
            .map(|h| format!("{h}: "))
            .unwrap_or_default();
        let kind = match finding.severity {
            Severity::Error => "stops this",
            Severity::Warning => "note",
        };
        context
            .reporter
            .warn(&format!("{host}{} ({kind}); {}", finding.what, finding.fix));
    }
}

/// Before anything is changed, so that what an interrupted run leaves can be found.
fn remember(
    context: &Context,
    spec: &ClusterSpec,
    plan: &Plan,
    reach: &Reach,
) -> Result<(), Failure> {
    let known = Known {
        engine: plan.flavour,
        hosts: spec
            .members
            .iter()
            .map(|m: &MemberSpec| m.host.clone())
            .collect(),
        ssh_config: reach.config(),
    };
    Ok(super::registry(context)?.remember(&spec.name, known)?)
}
