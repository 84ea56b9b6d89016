//! `bcm cluster status`.

use std::io::{self, Write};
use std::time::Duration;

use bcm_lxd::cluster::{Health, MemberHealth, health_reaching};
use serde::Serialize;

use super::{Chosen, vm};
use crate::args::cluster::StatusCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::vms;

/// What `status` answers.
#[derive(Debug, Serialize)]
struct Status {
    cluster: String,
    engine: bcm_lxd::Flavour,
    /// Virtual machines that are known not to run.
    stopped: Vec<String>,
    #[serde(flatten)]
    health: Health,
}

/// How many more members may be lost, for people.
pub(super) fn survives(losses: usize) -> String {
    match losses {
        0 => "survives no more loss".to_owned(),
        1 => "survives 1 more loss".to_owned(),
        n => format!("survives {n} more losses"),
    }
}

impl Show for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let health = &self.health;
        let state = match (health.healthy, health.quorum) {
            _ if !self.stopped.is_empty() && self.stopped.len() == health.members.len() => {
                "STOPPED"
            }
            (true, _) => "healthy",
            (false, true) => "DEGRADED",
            (false, false) => "QUORUM LOST",
        };
        let survives = health
            .survives_losses
            .map_or_else(|| "cannot be changed".to_owned(), survives);
        writeln!(
            out,
            "cluster {} ({}): {state}, {survives}",
            self.cluster, self.engine
        )?;
        let header = [
            "member",
            "host",
            "status",
            "heartbeat",
            "version",
            "domain",
            "roles",
            "pools",
            "networks",
            "instances",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(health.members.iter().map(|member| self.row(member)));
        table(out, &rows)?;
        for problem in &health.problems {
            writeln!(out, "! {problem}")?;
        }
        if !self.stopped.is_empty() {
            let stopped = self.stopped.join(", ");
            writeln!(
                out,
                "! {stopped} stopped; `bcm cluster start` starts what is stopped"
            )?;
        } else if !health.quorum {
            writeln!(
                out,
                "! engines take some minutes after a start; where members are lost for good, `bcm cluster \
                 recover` lets the survivor with the newest database go on alone"
            )?;
        }
        Ok(())
    }
}

impl Status {
    fn row(&self, member: &MemberHealth) -> Vec<String> {
        let or_dash = |text: &str| match text {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        let status = match (member.status.as_str(), member.reachable) {
            ("", Some(true)) => "machine answers".to_owned(),
            ("", _) => "unreachable".to_owned(),
            // The cluster may not know yet.
            (status, Some(false)) if status.eq_ignore_ascii_case("online") => {
                "unreachable".to_owned()
            }
            (status, _) => status.to_lowercase(),
        };
        let heartbeat = member.heartbeat_age.map(|age| format!("{age} s ago"));
        let heartbeat = heartbeat.unwrap_or_default();
        let instances = self
            .health
            .instances
            .get(&member.name)
            .copied()
            .unwrap_or_default();
        vec![
            or_dash(&member.name),
            or_dash(member.host.as_deref().unwrap_or_default()),
            status,
            or_dash(&heartbeat),
            or_dash(member.version.as_deref().unwrap_or_default()),
            or_dash(&member.failure_domain),
            or_dash(&member.roles.join(",")),
            or_dash(&member.pools.join(",")),
            or_dash(&member.networks.join(",")),
            format!("{}/{}", instances.running, instances.all),
        ]
    }
}

/// How long a machine is waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// How long one is that may be emulated.
const VM_LIMIT: Duration = Duration::from_secs(60);

/// Shows how the cluster is.
pub(super) async fn run(context: &Context, args: &StatusCommand) -> Result<ExitCode, Failure> {
    let mut chosen = Chosen::new(context, &args.reach)?;
    let stopped = vm::stopped(context, &chosen.name, &chosen.known.hosts).await;
    let made = vms::fleet(context.settings.environment(), &chosen.name).is_some();
    let timeout = args.timeout.unwrap_or(match made {
        // They may be emulated.
        true => VM_LIMIT,
        false => LIMIT,
    });
    chosen.reach = chosen.reach.within(timeout);
    let machines = chosen.known.hosts.iter().map(|host| {
        let reach = &chosen.reach;
        let reached = async move {
            let machine = reach.one(context, host).await;
            machine.map_err(|error| error.to_string())
        };
        (host.clone(), reached)
    });
    let health = health_reaching(machines, chosen.known.engine, timeout).await;
    let healthy = health.healthy;
    context.printer.show(&Status {
        cluster: chosen.name,
        engine: chosen.known.engine,
        stopped,
        health,
    })?;
    Ok(match healthy {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    })
}
