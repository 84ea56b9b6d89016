//! `bcm stack start` on a cluster.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use bcm_stack::caddy::Tls;
use bcm_stack::deploy::{ApplyOptions, DeployError, Done, apply};
use bcm_stack::dns::compare;
use bcm_stack::dns::resolve::resolve;
use bcm_stack::manifest::Manifest;
use bcm_stack::mirror::MirrorFiles;
use bcm_stack::place::{Placement, Scale, place, with_what_left_volumes};
use bcm_stack::plan::{Plan, Step, plan};
use bcm_stack::requirements::{Host, Lack, check, new_mirrors};
use bcm_stack::wanted::wanted;
use serde::Serialize;

use super::cluster::OnCluster;
use super::{image, list, material, mode, room};
use crate::args::stack::StartCommand;
use crate::commands::Context;
use crate::commands::cluster::{keep_log, with_log};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt::{self, Words};
use crate::printer::Show;
use crate::settings::stack;

/// What is said while a stack is started.
const WORDS: Words = Words {
    first: "stopping after the step that runs; once more stops at once",
    second: Some("stopped in the middle of a step; the same command goes on from what it finds"),
};

/// What a start did, or would do.
#[derive(Debug, Serialize)]
struct Deployed<'a> {
    stack: &'a str,
    cluster: &'a str,
    dry_run: bool,
    /// The steps that there are to do, or were.
    steps: Vec<String>,
    /// Where every replica is.
    placement: &'a Placement,
    /// What waits for a member that does not answer.
    waiting: &'a [String],
    lacks: &'a [Lack],
    /// Bytes that each new replica of a mirror will about hold, as far as that is known.
    needs: Option<u64>,
    /// The steps that were done, and the seconds that each took.
    done: Vec<(String, f64)>,
    /// Replicas that run and do not serve yet, with the reason.
    not_yet: Vec<(String, String)>,
    /// Where it answers.
    urls: Vec<String>,
    /// The certificate to trust, where no public authority vouches for the names.
    root: Option<String>,
}

impl Show for Deployed<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.dry_run {
            for step in &self.steps {
                writeln!(out, "would: {step}")?;
            }
        }
        for (step, seconds) in &self.done {
            writeln!(out, "{seconds:6.1} s  {step}")?;
        }
        for instance in self.waiting {
            writeln!(
                out,
                "! {instance}: its member does not answer; run this again when it does"
            )?;
        }
        for instance in &self.placement.surplus {
            writeln!(
                out,
                "! {instance} is more than is wanted; it was left alone"
            )?;
        }
        for (instance, reason) in &self.not_yet {
            writeln!(out, "{instance} runs and does not serve yet: {reason}")?;
        }
        let changes = self.steps.len();
        let plural = if changes == 1 { "" } else { "s" };
        let (stack, cluster) = (self.stack, self.cluster);
        match self.dry_run {
            true => writeln!(
                out,
                "stack {stack} on {cluster}: {changes} change{plural} to make; nothing was done"
            )?,
            false => writeln!(out, "stack {stack} on {cluster}: {changes} change{plural}")?,
        }
        for url in &self.urls {
            writeln!(out, "  {url}")?;
        }
        if let (Some(root), false) = (&self.root, self.dry_run) {
            writeln!(
                out,
                "clients have to trust this root certificate:\n{}",
                root.trim_end()
            )?;
        }
        Ok(())
    }
}

/// Makes the stack on the cluster what it should be.
pub(super) async fn start(context: &Context, command: &StartCommand) -> Result<ExitCode, Failure> {
    let args = &command.deploy;
    let manifest = list::manifest(context, &args.stack)?;
    let cancel = interrupt::watch_saying(&context.reporter, WORDS).map_err(Failure::new)?;
    let nothing = || Failure::interrupted("interrupted; nothing was changed");
    let prepared = cancel
        .run_until_cancelled(prepare(context, command, &manifest))
        .await;
    let prepared = prepared.ok_or_else(nothing)??;
    let Prepared {
        cluster,
        found,
        placement,
        wanted,
        plan,
        lacks,
        needs,
        urls,
        root,
        attach,
    } = prepared;
    for lack in &lacks {
        context.reporter.warn(&lack.to_string());
    }
    let stops = |lack: &Lack| lack.is_final() || !args.ignore_requirements;
    if lacks.iter().any(stops) && !args.dry_run {
        let failure = Failure::usage("the members are not fit for the stack; nothing was changed");
        let failure = match lacks.iter().any(Lack::is_final) {
            true => {
                failure.with_hint("end what has the port there, and run the same command again")
            }
            false => failure.with_hint("--ignore-requirements goes on all the same"),
        };
        return Err(failure.with_code(ExitCode::Unhealthy));
    }
    let first = attach
        .iter()
        .map(|instance| format!("{instance}: a mirror again, without what was published into it"));
    let mut deployed = Deployed {
        stack: &manifest.name,
        cluster: &cluster.name,
        dry_run: args.dry_run,
        steps: first
            .chain(plan.steps.iter().map(ToString::to_string))
            .collect(),
        placement: &placement,
        waiting: &plan.waiting,
        lacks: &lacks,
        needs,
        done: Vec::new(),
        not_yet: Vec::new(),
        urls,
        root,
    };
    if args.dry_run {
        context.printer.show(&deployed)?;
        return Ok(ExitCode::Done);
    }
    keep_log(context, "stack-start");
    let image = match plan
        .steps
        .iter()
        .any(|step| matches!(step, Step::Create { .. }))
    {
        true => {
            let ensured = image::ensure(context, &cluster, &manifest, args.image.as_deref());
            cancel
                .run_until_cancelled(ensured)
                .await
                .ok_or_else(nothing)??
        }
        false => String::new(),
    };
    if let Some(instance) = &attach {
        let attaching = mode::attach(&cluster.client, instance);
        cancel
            .run_until_cancelled(attaching)
            .await
            .ok_or_else(|| {
                Failure::interrupted("interrupted; the Hub may be a mirror already, and its service may be stopped: run the same command again")
            })?
            .map_err(Failure::new)?;
        context
            .reporter
            .say(&format!("the Hub of {instance} is a mirror again"));
    }
    let applied = apply(
        &cluster.client,
        &plan,
        &wanted,
        &found,
        &ApplyOptions::new(&image, &cluster.pool),
        &context.reporter.progress(),
        || cancel.is_cancelled(),
    )
    .await;
    match applied {
        Ok(Done { steps, not_yet }) => {
            deployed.done = steps;
            deployed.not_yet = not_yet;
        }
        Err(error) => return Err(failure(error)),
    }
    let code = match plan.waiting.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Partial,
    };
    context.printer.show(&deployed)?;
    Ok(with_log(context, code))
}

fn failure(error: DeployError) -> Failure {
    let interrupted = matches!(&error, DeployError::Step { source, .. } if matches!(**source, DeployError::Interrupted));
    let failure = Failure::new(error);
    match interrupted {
        true => failure.with_code(ExitCode::Interrupted),
        false => failure.with_hint("the same command goes on from what it finds; `bcm stack logs` shows what the instances wrote"),
    }
}

/// How long name servers have to answer.
const NAMES: Duration = Duration::from_secs(10);

/// Warns where a public authority would not find the mirror by its names, as far as its addresses are known.
async fn look_at_names(context: &Context, files: &MirrorFiles) {
    let known = stack::addresses(&context.settings, &[]);
    let (Tls::Automatic(_), Ok(addresses)) = (&files.tls, known) else {
        return;
    };
    let domain = &files.domain;
    let why = match tokio::time::timeout(NAMES, resolve(domain, None)).await {
        Ok(Ok(found)) if compare(domain, &addresses, &found).right => return,
        Ok(Ok(_)) => "lead elsewhere".to_owned(),
        Ok(Err(error)) => format!("could not be looked up: {error}"),
        Err(_) => "were not answered for in time".to_owned(),
    };
    context.reporter.warn(&format!(
        "the names of {domain} {why}; no authority gives certificates for them until they lead to the members \
         (`bcm dns check` shows which do)"
    ));
}

/// Everything that is known before something is changed.
struct Prepared {
    cluster: OnCluster,
    found: bcm_stack::plan::Found,
    placement: Placement,
    wanted: Vec<bcm_stack::wanted::Wanted>,
    plan: Plan,
    lacks: Vec<Lack>,
    needs: Option<u64>,
    urls: Vec<String>,
    root: Option<String>,
    /// The instance whose Hub is to be a mirror again.
    attach: Option<String>,
}

async fn prepare(
    context: &Context,
    command: &StartCommand,
    manifest: &Manifest,
) -> Result<Prepared, Failure> {
    let args = &command.deploy;
    let cluster = OnCluster::reach(context, &args.reach).await?;
    let seen = cluster.look(&manifest.name).await?;
    let scale = match args.standalone {
        true => Scale::Standalone,
        false => Scale::Cluster,
    };
    let files = match material::is_a_mirror(manifest) {
        true => Some(material::gather(context, args, &cluster.client, manifest, &seen).await?),
        false => None,
    };
    if let Some(files) = &files {
        look_at_names(context, files).await;
    }
    let existing = with_what_left_volumes(manifest, &seen.existing, &seen.found.volumes);
    let mut placement = place(manifest, &seen.members, &existing, scale).map_err(Failure::new)?;
    // What has left no more than a volume is not there to be told of.
    let instances = &seen.found.instances;
    placement
        .surplus
        .retain(|name| instances.contains_key(name));
    let (hosts, public) = hosts(context, &cluster, &seen.members).await?;
    let wanted = wanted(manifest, &placement, files.as_ref(), &cluster.pool, public)
        .map_err(Failure::new)?;
    let plan = plan(&wanted, &seen.found);
    let new = new_mirrors(manifest, &placement, &seen.found);
    let needs = match &files {
        Some(files) => room::needed(context, command, &new, files.mode).await?,
        None => None,
    };
    let lacks = check(manifest, &placement, &seen.found, &hosts, needs);
    Ok(Prepared {
        attach: mode::to_attach(args, &seen),
        urls: urls(manifest, files.as_ref(), &placement),
        root: files
            .filter(|files| files.tls == Tls::Internal)
            .and_then(|files| Some(files.given?.0)),
        cluster,
        found: seen.found,
        placement,
        wanted,
        plan,
        lacks,
        needs,
    })
}

/// What members have, and where their public ports listen: on IPv6 as well where all of them have it.
async fn hosts(
    context: &Context,
    cluster: &OnCluster,
    members: &[bcm_stack::place::Member],
) -> Result<(BTreeMap<String, Host>, &'static str), Failure> {
    let mut hosts = BTreeMap::new();
    let mut ipv6 = true;
    for member in members.iter().filter(|member| member.online) {
        let target = Some(member.name.as_str());
        let resources = cluster
            .client
            .resources(target)
            .await
            .map_err(Failure::new)?;
        let room = cluster
            .client
            .storage_pool_room(&cluster.pool, target)
            .await;
        let space = room.map_err(Failure::new)?.space;
        hosts.insert(
            member.name.clone(),
            Host {
                cores: resources.cpu.total,
                memory: resources.memory.total,
                room: space.total.saturating_sub(space.used),
                taken: None,
            },
        );
    }
    let asked = cluster.machines.iter().map(|machine| machine.facts());
    for (machine, facts) in cluster
        .machines
        .iter()
        .zip(futures_util::future::join_all(asked).await)
    {
        let facts = match facts {
            Ok((facts, _)) => facts,
            Err(error) => {
                context.reporter.warn(&format!(
                    "{}: its ports could not be looked at: {error}",
                    machine.host()
                ));
                continue;
            }
        };
        ipv6 &= facts
            .addresses
            .iter()
            .any(|address| address.address.is_ipv6());
        let member = members
            .iter()
            .find(|member| facts.has_address(member.address));
        if let Some(host) = member.and_then(|member| hosts.get_mut(&member.name)) {
            host.taken = Some(
                facts
                    .listeners
                    .iter()
                    .map(|listener| listener.port)
                    .collect(),
            );
        }
    }
    Ok((hosts, if ipv6 { "[::]" } else { "0.0.0.0" }))
}

/// Where it answers.
fn urls(manifest: &Manifest, files: Option<&MirrorFiles>, placement: &Placement) -> Vec<String> {
    let Some(files) = files else {
        let ports = |replica: &bcm_stack::place::Replica| {
            let kind = manifest.kind(&replica.kind);
            let ports = kind.map(|kind| kind.ports.clone()).unwrap_or_default();
            let address = replica.address;
            ports
                .into_iter()
                .filter(|port| port.public)
                .map(move |port| std::net::SocketAddr::new(address, port.listen).to_string())
        };
        return placement.replicas.iter().flat_map(ports).collect();
    };
    let [hub, bootstrap, unsecure] = files.domain.names();
    let mut urls = Vec::new();
    if manifest.kind("bootstrap").is_none() {
        urls.push(format!("https://{hub}/"));
        urls.push(format!("zdb://{hub}:9900"));
    }
    if manifest.kind("hub").is_none() {
        urls.push(format!("https://{bootstrap}/"));
        urls.push(format!("http://{unsecure}/"));
    }
    urls
}
