//! `bcm cluster create`, `plan` and `add`: the same code, with and without changes.

use std::io::{self, Write};

use bcm_lxd::cluster::{
    ApplyError, ApplyOptions, ClusterSpec, Finding, MemberSpec, Plan, PlanError, Severity,
    StepError, apply, health, observe, plan,
};
use bcm_lxd::host::{Machine, MachineError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::status::survives;
use super::vm::Machines;
use super::{Chosen, ask, keep_log, vm, with_log};
use crate::args::cluster::{AddCommand, Driver, SpecArgs};
use crate::commands::Context;
use crate::connect::Reach;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt::{self, Words};
use crate::printer::Show;
use crate::registry::Known;
use crate::settings::cluster::{ClusterSettingsError, resolve};
use crate::vms;

/// What `create` answers.
#[derive(Debug, Serialize)]
struct Created<'a> {
    cluster: &'a str,
    /// `null` where the machines are still to be made.
    engine: Option<bcm_lxd::Flavour>,
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
        let survives = self
            .survives_losses
            .map_or_else(|| "without quorum".to_owned(), survives);
        writeln!(
            out,
            "cluster {} ({}): {n} changes; {}, {survives}",
            self.cluster,
            self.engine
                .map(|engine| engine.to_string())
                .unwrap_or_default(),
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
    let (spec, asked) = match resolve(&context.settings, args) {
        Err(ClusterSettingsError::NoMachines) if ask::somebody(context) => {
            (resolve(&context.settings, &ask::machines(args)?), true)
        }
        result => (result, false),
    };
    let mut spec = spec.map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let reach = Reach::new(context, &args.reach, None);
    let mode = match (dry_run, asked) {
        (true, _) => Mode::DryRun,
        (_, true) => Mode::Confirm,
        _ => Mode::Apply,
    };
    let cancel = watch(context)?;
    let Some(machines) = Machines::of(context, &spec, &args.vm)? else {
        return make(context, "create", &spec, &reach, mode, &cancel).await;
    };
    check_without_members(&spec)?;
    let steps = machines.plan(context, &spec).await?;
    let started = steps.iter().any(|step| step.starts_with("start "));
    let mode = match mode {
        Mode::DryRun if !steps.is_empty() => {
            context.printer.show(&Created {
                cluster: &spec.name,
                engine: None,
                dry_run: true,
                steps,
                done: &[],
                warnings: &[],
                healthy: None,
                survives_losses: None,
            })?;
            return Ok(ExitCode::Done);
        }
        Mode::Confirm if !steps.is_empty() => {
            confirmed(context, &steps, &cancel).await?;
            Mode::Apply
        }
        mode => mode,
    };
    match mode {
        // All of them run, so that what is in them can be looked at.
        Mode::DryRun => machines.name(context, &mut spec)?,
        Mode::Confirm | Mode::Apply => {
            keep_log(context, "create");
            machines.make(context, &mut spec, &cancel).await?;
            // Engines of machines that were there come up after their SSH.
            if started {
                let settled = cancel.run_until_cancelled(vm::settle(context, &spec.name));
                let interrupted =
                    || Failure::interrupted("interrupted").with_hint("the same command goes on");
                settled.await.ok_or_else(interrupted)??;
            }
        }
    }
    make(context, "create", &spec, &reach, mode, &cancel).await
}

/// Refuses what is wrong whatever the members are, before any is made.
fn check_without_members(spec: &ClusterSpec) -> Result<(), Failure> {
    let any = ClusterSpec {
        members: vec![MemberSpec::new("any")],
        ..spec.clone()
    };
    any.validate()
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))
}

/// The token that is cancelled by a signal.
fn watch(context: &Context) -> Result<CancellationToken, Failure> {
    interrupt::watch_saying(&context.reporter, WORDS).map_err(Failure::new)
}

/// Shows the steps, and asks.
async fn confirmed(
    context: &Context,
    steps: &[String],
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    for step in steps {
        context.reporter.say(&format!("would: {step}"));
    }
    let agreed = tokio::task::spawn_blocking(ask::go_on);
    let agreed = cancel.run_until_cancelled(agreed).await;
    let nothing = || Failure::interrupted("interrupted; nothing was changed");
    let agreed = agreed.ok_or_else(nothing)?.map_err(Failure::new)??;
    match agreed {
        true => Ok(()),
        false => Err(Failure::usage("not confirmed; nothing was done")),
    }
}

/// Adds machines to a cluster that is there.
pub(super) async fn add(context: &Context, args: &AddCommand) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, &args.reach)?;
    if vms::fleet(context.settings.environment(), &chosen.name).is_some() {
        return Err(Failure::usage(format!(
            "the cluster {} is of virtual machines, which others cannot reach",
            chosen.name
        ))
        .with_hint("`bcm cluster create --driver vm --count N` adds virtual machines to it"));
    }
    let known = SpecArgs {
        name: Some(chosen.name.clone()),
        // Each host says itself how it is reached; a cluster of this machine grows, too.
        driver: Some(Driver::Ssh),
        host: chosen
            .known
            .hosts
            .iter()
            // What was begun with goes on by the same command.
            .chain(
                args.hosts
                    .iter()
                    .filter(|h| !chosen.known.hosts.contains(h)),
            )
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
    let mode = match args.dry_run {
        true => Mode::DryRun,
        false => Mode::Apply,
    };
    let cancel = watch(context)?;
    make(context, "add", &spec, &chosen.reach, mode, &cancel).await
}

/// What to do with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Show it.
    DryRun,
    /// Show it, and ask.
    Confirm,
    /// Do it.
    Apply,
}

/// What is said while a cluster is made.
const WORDS: Words = Words {
    first: "stopping after the step that runs; once more stops at once",
    second: Some(
        "stopped in the middle of a step; the same command goes on from what it finds, \
         `bcm cluster destroy` takes back what was done",
    ),
};

async fn make(
    context: &Context,
    command: &str,
    spec: &ClusterSpec,
    reach: &Reach,
    mode: Mode,
    cancel: &CancellationToken,
) -> Result<ExitCode, Failure> {
    spec.validate()
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let nothing = || Failure::interrupted("interrupted; nothing was changed");
    if mode != Mode::DryRun && context.reporter.log().is_none() {
        keep_log(context, command);
    }
    let hosts: Vec<String> = spec.members.iter().map(|m| m.host.clone()).collect();
    context
        .reporter
        .say(&format!("connecting to {}", hosts.join(", ")));
    let looked = async {
        let machines = connected(context, reach, &hosts).await?;
        let observed = observe(&machines)
            .await
            .map_err(|errors| not_looked_at(context, errors))?;
        Ok::<_, Failure>((machines, observed))
    };
    let looked = cancel.run_until_cancelled(looked).await;
    let (machines, observed) = looked.ok_or_else(nothing)??;
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
        engine: Some(plan.flavour),
        dry_run: mode == Mode::DryRun,
        steps: plan.steps.iter().map(ToString::to_string).collect(),
        done: &[],
        warnings: &warnings,
        healthy: None,
        survives_losses: None,
    };
    if mode == Mode::DryRun {
        context.printer.show(&created)?;
        return Ok(ExitCode::Done);
    }
    if mode == Mode::Confirm && !plan.steps.is_empty() {
        confirmed(context, &created.steps, cancel).await?;
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
    let applied = applied.map_err(|error| not_applied(&plan, error))?;
    let reached: Vec<_> = machines
        .into_iter()
        .map(|machine| (machine.host().to_owned(), Ok(machine)))
        .collect();
    let limit = std::time::Duration::from_secs(15);
    let health = cancel.run_until_cancelled(health(&reached, plan.flavour, limit));
    let Some(health) = health.await else {
        return Err(Failure::interrupted(
            "interrupted; the cluster is made, and was not looked at",
        )
        .with_hint("`bcm cluster status` shows how it is"));
    };
    for problem in &health.problems {
        context.reporter.warn(problem);
    }
    created.done = &applied.steps;
    created.healthy = Some(health.healthy);
    created.survives_losses = health.survives_losses;
    context.printer.show(&created)?;
    Ok(match health.healthy {
        true => ExitCode::Done,
        false => with_log(context, ExitCode::Unhealthy),
    })
}

/// What became of a plan that did not come to its end.
fn not_applied(plan: &Plan, error: ApplyError) -> Failure {
    let hint = "the same command goes on from here; \
                `bcm cluster destroy` takes back what was done";
    if matches!(error.source, StepError::Interrupted) {
        let message = format!(
            "interrupted; {} of {} steps are done, the next is: {}",
            error.done,
            plan.steps.len(),
            error.step
        );
        return Failure::interrupted(message).with_hint(hint);
    }
    Failure::new(error).with_hint(hint)
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

/// Machines that could not be looked at; with what may be behind an engine that says nothing.
fn not_looked_at(context: &Context, errors: Vec<MachineError>) -> Failure {
    let of_engine = errors.iter().any(|e| matches!(e, MachineError::Engine(_)));
    let failure = all_of(context, errors);
    match of_engine {
        false => failure,
        true => failure.with_hint(
            "a member whose cluster went on without it is cleared by `bcm cluster destroy --host`; \
             a cluster that lost its quorum comes back by `bcm cluster recover`",
        ),
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
