//! Which engine the members of a cluster will have.

use std::collections::BTreeMap;

use crate::flavour::Flavour;
use crate::host::{EnginePackages, HostFacts, engine_packages};

use super::checks::{Finding, Severity, name_of_os};
use super::observe::ObservedHost;
use super::spec::{ClusterSpec, EngineChoice, MemberSpec};

/// Which engine all members will have, and how each comes to it. Left to BCM, it is what is
/// installed already, else what all machines can have: on Debian Incus before LXD.
pub(super) fn choose_engine(
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &ObservedHost)],
) -> Result<(Flavour, Vec<EnginePackages>), Box<Finding>> {
    let candidates = match spec.engine {
        EngineChoice::Lxd => vec![Flavour::Lxd],
        EngineChoice::Incus => vec![Flavour::Incus],
        EngineChoice::Auto => {
            // Debian has kept LXD at 5.0 for those who use it already, and goes on with Incus;
            // Ubuntu's own is LXD.
            let mut order = match members.iter().all(|(_, f)| f.facts.os.id == "debian") {
                true => vec![Flavour::Incus, Flavour::Lxd],
                false => vec![Flavour::Lxd, Flavour::Incus],
            };
            // What is installed already decides before what could be.
            order.sort_by_key(|flavour| {
                !members
                    .iter()
                    .any(|(_, found)| installed(&found.facts).contains(flavour))
            });
            order
        }
    };
    let mut why = Vec::new();
    for flavour in candidates {
        match ways(spec, members, flavour) {
            Ok(ways) => return Ok((flavour, ways)),
            Err(reason) => why.push(reason),
        }
    }
    Err(Box::new(Finding {
        severity: Severity::Error,
        host: None,
        what: why.join("; "),
        fix: "use machines with the same release of Debian or Ubuntu, or choose with --engine"
            .to_owned(),
    }))
}

fn ways(
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &ObservedHost)],
    flavour: Flavour,
) -> Result<Vec<EnginePackages>, String> {
    let mut ways = Vec::new();
    let mut versions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (member, found) in members {
        let way = engine_packages(&found.facts, flavour, spec.storage.driver.as_str()).ok_or_else(
            || {
                format!(
                    "{flavour} is not to be had on {} ({})",
                    member.host,
                    name_of_os(&found.facts)
                )
            },
        )?;
        let version = match &way {
            EnginePackages::Installed { version } | EnginePackages::Apt { version, .. } => version
                .split(['-', '+'])
                .next()
                .unwrap_or(version)
                .to_owned(),
            EnginePackages::Snap => "snap".to_owned(),
        };
        versions.entry(version).or_default().push(&member.host);
        ways.push(way);
    }
    if versions.len() > 1 {
        let list: Vec<String> = versions
            .iter()
            .map(|(version, hosts)| format!("{version} on {}", hosts.join(", ")))
            .collect();
        return Err(format!(
            "the versions of {flavour} differ: {}",
            list.join("; ")
        ));
    }
    Ok(ways)
}

pub(super) fn installed(facts: &HostFacts) -> Vec<Flavour> {
    facts
        .engines
        .iter()
        .filter(|(_, engine)| engine.is_installed())
        .map(|(flavour, _)| *flavour)
        .collect()
}
