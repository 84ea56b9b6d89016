//! `bcm host check`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bcm_core::cause::chain;
use bcm_lxd::cluster::{Finding, Observed, ObservedHost, Severity, check, observe_each};
use bcm_lxd::host::{HostFacts, SudoState};
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::host::CheckCommand;
use crate::commands::Context;
use crate::connect::Reach;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::cluster::resolve;

/// What `check` answers.
#[derive(Debug, Serialize)]
struct Checked {
    /// Whether a cluster could be made of them.
    fit: bool,
    /// What was found, by host as it was typed.
    #[serde(flatten)]
    observed: Observed,
    /// What is or may become wrong.
    findings: Vec<Finding>,
}

/// Looks at machines, and says what would stop a cluster of them.
pub(super) async fn run(context: &Context, args: &CheckCommand) -> Result<ExitCode, Failure> {
    let usage = |error| Failure::new(error).with_code(ExitCode::Usage);
    let spec = resolve(&context.settings, &args.spec()).map_err(usage)?;
    spec.validate()
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let hosts: Vec<String> = spec.members.iter().map(|m| m.host.clone()).collect();
    let mut findings = Vec::new();
    let mut machines = Vec::new();
    for (host, machine) in Reach::new(context, &args.reach, None)
        .all(context, &hosts)
        .await
    {
        match machine {
            Ok(machine) => machines.push(machine),
            Err(error) => findings.push(out_of_reach(host, &error)),
        }
    }
    let (observed, failed) = observe_each(&machines).await;
    findings.extend(
        failed
            .into_iter()
            .map(|(host, error)| out_of_reach(host, &error)),
    );
    findings.extend(check(&spec, &observed));
    let fit = findings.iter().all(|f| f.severity < Severity::Error);
    context.printer.show(&Checked {
        fit,
        observed,
        findings,
    })?;
    Ok(match fit {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    })
}

fn out_of_reach(host: String, error: &(dyn std::error::Error + 'static)) -> Finding {
    Finding {
        severity: Severity::Error,
        host: Some(host),
        what: chain(error),
        fix: "every machine of a cluster has to be in reach".to_owned(),
    }
}

impl Show for Checked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut by_host: BTreeMap<Option<&str>, Vec<&Finding>> = BTreeMap::new();
        for finding in &self.findings {
            by_host
                .entry(finding.host.as_deref())
                .or_default()
                .push(finding);
        }
        for (host, found) in &self.observed.hosts {
            writeln!(out, "{host}")?;
            table(out, &rows(found))?;
            for finding in by_host.remove(&Some(host.as_str())).unwrap_or_default() {
                write_finding(out, "  ", finding)?;
            }
        }
        // Machines that could not be looked at, and what is about all of them.
        for (host, findings) in by_host.into_iter().rev() {
            if let Some(host) = host {
                writeln!(out, "{host}")?;
            }
            for finding in findings {
                write_finding(out, host.map_or("", |_| "  "), finding)?;
            }
        }
        match self.fit {
            true => writeln!(out, "fit for a cluster"),
            false => writeln!(out, "a cluster cannot be made of this yet"),
        }
    }
}

fn write_finding(out: &mut dyn Write, indent: &str, finding: &Finding) -> io::Result<()> {
    let mark = match finding.severity {
        Severity::Error => "✗",
        Severity::Warning => "!",
    };
    writeln!(out, "{indent}{mark} {}", finding.what)?;
    writeln!(out, "{indent}  {}", finding.fix)
}

fn rows(found: &ObservedHost) -> Vec<Vec<String>> {
    let facts = &found.facts;
    let system = match facts.os.pretty.as_str() {
        "" => "an unknown system",
        name => name,
    };
    let root = match facts.sudo {
        SudoState::Root => "logged in as root",
        SudoState::Passwordless => "by sudo, without a password",
        SudoState::Refused => "no: sudo asks for a password or refuses",
        SudoState::Missing => "no: there is no sudo",
    };
    let addresses: Vec<String> = facts
        .reachable_addresses()
        .map(|a| format!("{}/{} on {}", a.address, a.prefix, a.interface))
        .collect();
    let disks: Vec<String> = facts
        .block_devices
        .iter()
        .filter(|device| device.kind == "disk" && device.size > 0)
        .map(|device| {
            let used = !device.content.is_empty() || !device.mountpoint.is_empty();
            let state = if used { "in use" } else { "nothing on it" };
            format!("{} ({}, {state})", device.path, BinaryBytes(device.size))
        })
        .collect();
    let row = |name: &str, value: String| vec![format!("  {name}"), value];
    let mut rows = vec![
        row("name", facts.hostname.clone()),
        row(
            "system",
            format!("{system}, {}, Linux {}", facts.arch, facts.kernel),
        ),
        row(
            "machine",
            format!(
                "{} processors, {} of memory ({} available), {} free in /var/lib",
                facts.cpus,
                BinaryBytes(facts.memory_total),
                BinaryBytes(facts.memory_available),
                BinaryBytes(facts.disk_free)
            ),
        ),
        row("clock", clock(found.clock_ahead)),
        row("addresses", or_none(&addresses)),
        row("disks", or_none(&disks)),
        row("root", root.to_owned()),
        row("engine", engine(found, facts)),
    ];
    if facts.docker {
        rows.push(row("Docker", "installed".to_owned()));
    }
    rows
}

fn clock(ahead: f64) -> String {
    match ahead {
        a if a.abs() < 1.0 => "equal to this machine's".to_owned(),
        a if a > 0.0 => format!("{a:.0} s ahead of this machine's"),
        a => format!("{:.0} s behind this machine's", -a),
    }
}

fn or_none(list: &[String]) -> String {
    match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    }
}

fn engine(found: &ObservedHost, facts: &HostFacts) -> String {
    if let Some(engine) = &found.engine {
        let cluster = match (engine.cluster_name(), &engine.member_name) {
            (Some(cluster), _) => format!(", member of the cluster {cluster}"),
            (None, Some(_)) => ", member of a cluster".to_owned(),
            (None, None) => String::new(),
        };
        let owner = match facts.engine_is_ours() {
            true => ", installed by BCM",
            false => "",
        };
        return format!("{} {}{cluster}{owner}", engine.flavour, engine.version);
    }
    let can: Vec<String> = facts
        .engines
        .iter()
        .filter_map(|(flavour, engine)| {
            Some(format!("{flavour} {}", engine.package.candidate.as_ref()?))
        })
        .collect();
    match can.is_empty() {
        true => "none, and no package of one".to_owned(),
        false => format!("none; can be installed: {}", can.join(", ")),
    }
}
