//! `bcm stack status`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_lxd::Client;
use bcm_stack::deploy::{Report, Seen, State, health, report, run as run_in};
use bcm_stack::manifest::Manifest;
use bcm_stack::mirror::HOLDS;
use bcm_stack::place::Replica;
use bcm_stack::wanted::{Wanted, observed};
use futures_util::future::join_all;
use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;
use serde_json::Value;

use super::cluster::OnCluster;
use super::growth::Growth;
use super::list;
use crate::args::stack::OfClusterCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};

/// How long a mirror has to say what it holds.
const LIMIT: Duration = Duration::from_secs(60);

/// What `status` answers. Sizes are in bytes, spans of time in seconds.
#[derive(Debug, Serialize)]
struct Status {
    stack: String,
    cluster: String,
    well: bool,
    replicas: Vec<ReplicaStatus>,
}

/// How one replica is.
#[derive(Debug, Serialize)]
struct ReplicaStatus {
    instance: String,
    kind: String,
    member: String,
    /// `null` where it could not be asked.
    health: Option<State>,
    /// Why it could not be asked.
    unreachable: Option<String>,
    #[serde(flatten)]
    report: Report,
    /// How long its room lasts at the rate at which it was used since it was first looked at.
    full_in: Option<u64>,
    /// What `bcm hub status` says in it, where there is a Hub.
    hub: Option<Value>,
    /// What `bcm bootstrap status` says in it, where there is a Bootstrap.
    bootstrap: Option<Value>,
}

impl ReplicaStatus {
    fn is_well(&self) -> bool {
        self.health == Some(State::Well)
    }

    fn row(&self) -> Vec<String> {
        let state = match (&self.health, &self.unreachable) {
            (Some(State::Well), _) => "well".to_owned(),
            (Some(State::NotYet(reason)), _) => format!("not yet: {reason}"),
            (Some(State::Unwell(reason) | State::Failing(reason)), _) => {
                format!("NOT WELL: {reason}")
            }
            (None, reason) => format!("UNREACHABLE: {}", reason.as_deref().unwrap_or("unknown")),
        };
        let number = |value: &Option<Value>, name: &str| value.as_ref()?.get(name)?.as_u64();
        let lag = number(&self.hub, "lag").map(|lag| {
            let lag = Duration::from_secs(lag);
            format!("{} behind", HumanDuration(lag))
        });
        let flists = number(&self.hub, "flists").map(|flists| format!("{flists} flists"));
        let blocks = number(&self.hub, "blocks").map(|blocks| format!("{blocks} blocks"));
        let kernels = self
            .bootstrap
            .as_ref()
            .and_then(|b| b.get("kernels")?.as_array());
        let kernels = kernels.map(|kernels| format!("{} kernels", kernels.len()));
        let disk =
            self.report.used.zip(self.report.left).map(|(used, left)| {
                format!("{} used, {} left", HumanBytes(used), HumanBytes(left))
            });
        let full = self
            .full_in
            .map(|seconds| format!("full in {}", HumanDuration(Duration::from_secs(seconds))));
        let certificate = self.report.certificate_ends.map(|end| {
            let left = end.saturating_sub(now());
            match u64::try_from(left) {
                Ok(left) => format!(
                    "certificate ends in {}",
                    HumanDuration(Duration::from_secs(left))
                ),
                Err(_) => "CERTIFICATE HAS ENDED".to_owned(),
            }
        });
        let said = [flists, blocks, kernels, lag, disk, full, certificate];
        vec![
            self.instance.clone(),
            self.member.clone(),
            state,
            said.into_iter().flatten().collect::<Vec<_>>().join(", "),
        ]
    }
}

impl Show for Status {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = match (self.replicas.is_empty(), self.well) {
            (true, _) => "is not there",
            (_, true) => "is well",
            (_, false) => "IS NOT WELL",
        };
        writeln!(out, "stack {} on {} {state}", self.stack, self.cluster)?;
        let rows: Vec<Vec<String>> = self.replicas.iter().map(ReplicaStatus::row).collect();
        table(out, &rows)
    }
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Shows how a stack is.
pub(super) async fn run(context: &Context, args: &OfClusterCommand) -> Result<ExitCode, Failure> {
    let manifest = list::manifest(context, &args.stack)?;
    let cluster = OnCluster::reach(context, &args.reach).await?;
    let seen = cluster.look(&manifest.name).await?;
    let mut growth = Growth::load(context, &cluster.name);
    let asked = wanted_of(&manifest, &seen).into_iter().map(|wanted| {
        let client = &cluster.client;
        async move { replica(client, &wanted).await }
    });
    let mut replicas = join_all(asked).await;
    for replica in &mut replicas {
        if let (Some(used), Some(left)) = (replica.report.used, replica.report.left) {
            replica.full_in = growth.full_in(&replica.instance, used, left);
        }
    }
    growth.save(context);
    let well = !replicas.is_empty() && replicas.iter().all(ReplicaStatus::is_well);
    context.printer.show(&Status {
        stack: manifest.name.clone(),
        cluster: cluster.name,
        well,
        replicas,
    })?;
    Ok(match well {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    })
}

/// What is there, as far as asking for its health needs it.
fn wanted_of(manifest: &Manifest, seen: &Seen) -> Vec<Wanted> {
    let mut all = Vec::new();
    for (name, instance) in &seen.found.instances {
        let existing = seen
            .existing
            .iter()
            .find(|e| bcm_stack::place::instance_name(&manifest.name, &e.kind, e.number) == *name);
        let member = seen
            .members
            .iter()
            .find(|member| member.name == instance.location);
        let (Some(existing), Some(member)) = (existing, member) else {
            continue;
        };
        let Some(kind) = manifest.kind(&existing.kind) else {
            continue;
        };
        all.push(observed(
            kind,
            Replica {
                instance: name.clone(),
                kind: existing.kind.clone(),
                number: existing.number,
                member: member.name.clone(),
                address: member.address,
                online: member.online,
            },
        ));
    }
    all
}

async fn replica(client: &Client, wanted: &Wanted) -> ReplicaStatus {
    let replica = &wanted.replica;
    let mut status = ReplicaStatus {
        instance: replica.instance.clone(),
        kind: replica.kind.clone(),
        member: replica.member.clone(),
        health: None,
        unreachable: None,
        report: Report::default(),
        full_in: None,
        hub: None,
        bootstrap: None,
    };
    if !replica.online {
        status.unreachable = Some("its member does not answer".to_owned());
        return status;
    }
    match health(client, wanted).await {
        Ok(state) => status.health = Some(state),
        Err(error) => {
            status.unreachable = Some(bcm_core::cause::chain(&error));
            return status;
        }
    }
    // What it cannot say, it does not say; its health was told.
    status.report = report(client, wanted).await.unwrap_or_default();
    let holds = HOLDS.contains(&replica.kind.as_str());
    if holds && replica.kind != "bootstrap" {
        status.hub = says(client, &replica.instance, "hub").await;
    }
    if holds && replica.kind != "hub" {
        status.bootstrap = says(client, &replica.instance, "bootstrap").await;
    }
    status
}

/// What `bcm PART status` says in an instance.
async fn says(client: &Client, instance: &str, part: &str) -> Option<Value> {
    // Its exit code says how it is; here its words count.
    let script =
        "/usr/local/bin/bcm --config /etc/bcm/bcm.toml \"$0\" status --output json || true";
    let said = run_in(client, instance, &["sh", "-c", script, part], LIMIT)
        .await
        .ok()?;
    serde_json::from_slice(&said).ok()
}
