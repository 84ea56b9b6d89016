//! What `bcm cluster` does with virtual machines that BCM makes.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bcm_lxd::cluster::{ClusterSpec, Destroyed, DriverChoice, MemberSpec, health};
use bcm_provision::vm::{self, Fleet, Node, Provider, VmContext, VmError, Wanted, host_of};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Chosen, as_text, keep_log, registry};
use crate::args::cluster::{PowerCommand, ReachArgs};
use crate::args::vm::VmArgs;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt::{self, Words};
use crate::onions::Onions;
use crate::printer::Show;
use crate::settings::vm::resolve;
use crate::vms;

/// A failure of what has to do with machines, with the exit code that it has.
pub(super) fn failure(error: VmError) -> Failure {
    let code = match &error {
        VmError::Wanted(_) | VmError::Image { .. } | VmError::Checksum { .. } => ExitCode::Usage,
        _ => ExitCode::Failed,
    };
    let again = matches!(
        error,
        VmError::Boot { .. } | VmError::Died { .. } | VmError::Qmp { .. } | VmError::Program { .. }
    );
    let failure = Failure::new(error).with_code(code);
    match again {
        true => failure.with_hint(
            "the same command goes on from here; `bcm cluster destroy --cluster NAME` takes the machines away",
        ),
        false => failure,
    }
}

/// The machines that a cluster is made of, as far as they have to be made first.
pub(super) struct Machines {
    wanted: Wanted,
    limit: Duration,
}

impl Machines {
    /// What is wanted; `None` where the cluster's machines are not made.
    pub(super) fn of(
        context: &Context,
        spec: &ClusterSpec,
        args: &VmArgs,
    ) -> Result<Option<Self>, Failure> {
        let environment = context.settings.environment();
        let made = vms::fleet(environment, &spec.name).is_some();
        if spec.driver != Some(DriverChoice::Vm) {
            return match made {
                true => Err(Failure::usage(format!(
                    "the name {} is that of a cluster of virtual machines",
                    spec.name
                ))
                .with_hint("choose another with --name, or give --driver vm")),
                false => Ok(None),
            };
        }
        let registry = registry(context)?;
        if registry.clusters().contains_key(&spec.name) && !made {
            return Err(Failure::usage(format!(
                "there is a cluster {} already, of machines that BCM did not make",
                spec.name
            ))
            .with_hint("choose another name with --name"));
        }
        let (wanted, limit) = resolve(&context.settings, spec, args)
            .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
        let onions = Onions::load(&environment.state_folder()).map_err(Failure::new)?;
        let hosts = (1..=wanted.count.unwrap_or(1)).map(|n| host_of(&spec.name, n));
        if let Some(host) = hosts.into_iter().find(|host| onions.find(host).is_some()) {
            return Err(
                Failure::usage(format!("{host} is a machine that is reached through Tor"))
                    .with_hint("choose another name with --name"),
            );
        }
        Ok(Some(Self { wanted, limit }))
    }

    fn library(&self, context: &Context) -> VmContext {
        let environment = context.settings.environment();
        VmContext {
            boot_limit: self.limit,
            ..vms::context(environment, context.reporter.progress())
        }
    }

    /// What would be done, in words. Empty where all of them run.
    pub(super) async fn plan(
        &self,
        context: &Context,
        spec: &ClusterSpec,
    ) -> Result<Vec<String>, Failure> {
        vm::plan(&self.library(context), &spec.name, &self.wanted)
            .await
            .map_err(failure)
    }

    /// Makes and starts them, and names them in `spec`.
    pub(super) async fn make(
        &self,
        context: &Context,
        spec: &mut ClusterSpec,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let library = self.library(context);
        let made = cancel.run_until_cancelled(vm::create(&library, &spec.name, &self.wanted));
        let made = made.await;
        let environment = context.settings.environment();
        vms::refresh(environment).map_err(failure)?;
        let Some(made) = made else {
            return Err(interrupted(&spec.name));
        };
        let fleet = vms::fleet(environment, &spec.name);
        name_members(spec, fleet.as_ref(), &made.map_err(failure)?);
        Ok(())
    }

    /// Names those that run already in `spec`.
    pub(super) fn name(&self, context: &Context, spec: &mut ClusterSpec) -> Result<(), Failure> {
        let fleet = vms::fleet(context.settings.environment(), &spec.name);
        let nodes = fleet.as_ref().map_or(Ok(Vec::new()), Fleet::nodes);
        name_members(spec, fleet.as_ref(), &nodes.map_err(failure)?);
        Ok(())
    }
}

fn interrupted(name: &str) -> Failure {
    Failure::interrupted("interrupted while the virtual machines are made").with_hint(format!(
        "the same command goes on; `bcm cluster destroy --cluster {name}` takes them away"
    ))
}

/// The members with the addresses by which they reach each other, which stay.
fn name_members(spec: &mut ClusterSpec, fleet: Option<&Fleet>, nodes: &[Node]) {
    let multipass =
        fleet.and_then(|fleet| fleet.provider().ok().flatten()) == Some(Provider::Multipass);
    let member = |node: &Node| MemberSpec {
        address: match multipass {
            true => Some(node.address()),
            false => Some(IpAddr::V4(node.lan_address())),
        },
        ..MemberSpec::new(&node.host)
    };
    spec.members = nodes.iter().map(member).collect();
    if !multipass && spec.network.ipv4 == "auto" {
        spec.network.ipv4 = vm::BRIDGE_NETWORK.to_owned();
    }
}

/// What `stop` and `start` answer.
#[derive(Debug, Serialize)]
struct Power {
    cluster: String,
    /// The machines that were started or stopped.
    machines: Vec<String>,
    #[serde(skip)]
    done: &'static str,
}

impl Show for Power {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { cluster, done, .. } = self;
        match self.machines.as_slice() {
            [] => writeln!(out, "cluster {cluster}: nothing to do"),
            machines => writeln!(out, "cluster {cluster}: {} {done}", machines.join(", ")),
        }
    }
}

/// The name of the cluster that was meant, of which there are virtual machines.
fn named(context: &Context, given: Option<&str>) -> Result<String, Failure> {
    let environment = context.settings.environment();
    let registry = registry(context)?;
    let name = match given.or(registry.active()) {
        Some(name) => name.to_owned(),
        None => registry.find(None)?.0.to_owned(),
    };
    if vms::fleet(environment, &name).is_some() {
        return Ok(name);
    }
    // One that is not there at all is unknown.
    registry.find(Some(&name))?;
    Err(Failure::usage(format!(
        "the cluster {name} has no virtual machines that BCM made"
    ))
    .with_hint("machines of your own are started and stopped by you"))
}

/// Stops the machines, or starts them.
pub(super) async fn power(
    context: &Context,
    args: &PowerCommand,
    on: bool,
) -> Result<ExitCode, Failure> {
    let name = named(context, args.cluster.as_deref())?;
    let environment = context.settings.environment();
    let mut library = vms::context(environment, context.reporter.progress());
    if let Some(limit) = args.timeout {
        library.boot_limit = limit;
        library.stop_limit = limit;
    }
    keep_log(context, if on { "start" } else { "stop" });
    let words = Words {
        first: "stopping; the machines go on with what they were told",
        second: None,
    };
    let cancel = interrupt::watch_saying(&context.reporter, words).map_err(Failure::new)?;
    let work = async {
        match on {
            true => vm::start(&library, &name).await,
            false => vm::stop(&library, &name).await,
        }
    };
    let interrupted = || Failure::interrupted("interrupted").with_hint("the same command goes on");
    let machines = cancel.run_until_cancelled(work).await;
    vms::refresh(environment).map_err(failure)?;
    let machines = machines.ok_or_else(interrupted)?;
    if on && machines.is_ok() {
        let settled = cancel.run_until_cancelled(settle(context, &name)).await;
        settled.ok_or_else(interrupted)??;
    }
    context.printer.show(&Power {
        cluster: name,
        machines: machines.map_err(failure)?,
        done: if on { "started" } else { "stopped" },
    })?;
    Ok(ExitCode::Done)
}

/// How long engines may take once their machines have booted: minutes, where those are emulated.
const ENGINES: Duration = Duration::from_secs(5 * 60);

/// Waits until the cluster `name`, whose machines were just started, is well again: engines come up
/// after the machines' SSH. One that is not known was never made so far.
pub(super) async fn settle(context: &Context, name: &str) -> Result<(), Failure> {
    let reach = ReachArgs {
        cluster: Some(name.to_owned()),
        ..ReachArgs::default()
    };
    if !registry(context)?.clusters().contains_key(name) {
        return Ok(());
    }
    let chosen = Chosen::new(context, &reach)?;
    context.reporter.say("waiting for the engines");
    let begin = Instant::now();
    loop {
        let machines = as_text(chosen.machines(context).await);
        let health = health(&machines, chosen.known.engine, Duration::from_secs(60)).await;
        if health.healthy {
            return Ok(());
        }
        if begin.elapsed() > ENGINES {
            context.reporter.warn(&format!(
                "the cluster is not well {} s after its machines booted; `bcm cluster status` shows how it is",
                begin.elapsed().as_secs()
            ));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// The machines of `name` that are known not to run.
pub(super) async fn stopped(context: &Context, name: &str, hosts: &[String]) -> Vec<String> {
    let environment = context.settings.environment();
    let Some(fleet) = vms::fleet(environment, name) else {
        return Vec::new();
    };
    let stopped = vms::stopped(environment, &fleet).await;
    let hosts = hosts.iter().filter(|host| stopped.contains(host));
    hosts.cloned().collect()
}

/// The cluster whose virtual machines are to be taken away, where it is one: also one that never
/// came so far that it is in the list.
pub(super) fn to_destroy(context: &Context, given: Option<&str>) -> Result<Option<Fleet>, Failure> {
    let environment = context.settings.environment();
    let registry = registry(context)?;
    if let Some(name) = given.or(registry.active()) {
        return Ok(vms::fleet(environment, name));
    }
    let mut fleets = vms::fleets(environment).map_err(failure)?;
    Ok(match fleets.len() {
        1 => fleets.pop(),
        _ => None,
    })
}

/// Takes them away.
pub(super) async fn destroy(context: &Context, name: &str) -> Result<Destroyed, Failure> {
    let environment = context.settings.environment();
    let library = vms::context(environment, context.reporter.progress());
    let removed = vm::destroy(&library, name).await.map_err(failure)?;
    vms::refresh(environment).map_err(failure)?;
    Ok(Destroyed {
        removed,
        left: Vec::new(),
    })
}

/// The machines of the cluster `name` that are not among its `hosts` any more.
pub(super) fn not_of(
    context: &Context,
    name: &str,
    hosts: &[String],
) -> Result<Vec<String>, Failure> {
    let fleet = vms::fleet(context.settings.environment(), name);
    let nodes = fleet.map_or(Ok(Vec::new()), |fleet| fleet.nodes());
    let hosts_of = nodes.map_err(failure)?.into_iter().map(|node| node.host);
    Ok(hosts_of.filter(|host| !hosts.contains(host)).collect())
}

/// Takes one of them away, which is no member any more.
pub(super) async fn remove(context: &Context, name: &str, host: &str) -> Result<(), Failure> {
    let environment = context.settings.environment();
    let library = vms::context(environment, context.reporter.progress());
    vm::remove(&library, name, host).await.map_err(failure)?;
    vms::refresh(environment).map_err(failure)
}
