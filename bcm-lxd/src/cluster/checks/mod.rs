//! Everything that can be known to go wrong, before anything is changed.

mod same_cluster;
mod storage;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::host::{HostFacts, SudoState};

use crate::cluster::engine::{choose_engine, installed};
use crate::cluster::observe::{EngineState, Observed, ObservedHost};
use crate::cluster::spec::{CLUSTER_PORT, ClusterSpec, MemberSpec};

use same_cluster::check_same_cluster;
use storage::{check_storage, check_tools};

/// Whether a finding stops the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// Nothing is changed before this is mended.
    Error,
}

/// Something that is or may become wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it stops the work.
    pub severity: Severity,
    /// The machine, where it is about one.
    pub host: Option<String>,
    /// What is wrong.
    pub what: String,
    /// The way out.
    pub fix: String,
}

/// The engine's folder grows by its packages and its database before any instance exists.
const LEAST_DISK: u64 = 2 << 30;
const LEAST_MEMORY: u64 = 512 << 20;

/// Members' certificates and the database's elections go by the clock.
const MOST_CLOCK_SKEW: f64 = 10.0;

/// Checks every machine, and the machines with each other.
#[must_use]
pub fn check(spec: &ClusterSpec, observed: &Observed) -> Vec<Finding> {
    let mut findings = Findings::default();
    match spec.members.len() {
        2 => findings.warning(
            None,
            "two members: the loss of either one stops both".to_owned(),
            "use one, or three: the first size that survives a loss",
        ),
        n if n > 50 => findings.warning(
            None,
            format!("{n} members are more than the engines are used with"),
            "make several clusters",
        ),
        _ => {}
    }
    let members: Vec<(&MemberSpec, &ObservedHost)> = spec
        .members
        .iter()
        .filter_map(|member| Some((member, observed.hosts.get(&member.host)?)))
        .collect();
    for (member, host) in &members {
        check_machine(&mut findings, &member.host, &host.facts);
        check_addresses(&mut findings, member, &host.facts);
        check_engine(&mut findings, spec, &member.host, host);
        check_tools(&mut findings, spec, &member.host, &host.facts);
        check_storage(&mut findings, spec, member, host);
        check_network(&mut findings, spec, member, host);
    }
    check_same_cluster(&mut findings, spec, &members);
    check_together(&mut findings, &members);
    if let Err(finding) = choose_engine(spec, &members) {
        findings.0.push(*finding);
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, host: Option<&str>, what: String, fix: &str) {
        self.push(Severity::Error, host, what, fix);
    }

    fn warning(&mut self, host: Option<&str>, what: String, fix: &str) {
        self.push(Severity::Warning, host, what, fix);
    }

    fn push(&mut self, severity: Severity, host: Option<&str>, what: String, fix: &str) {
        self.0.push(Finding {
            severity,
            host: host.map(str::to_owned),
            what,
            fix: fix.to_owned(),
        });
    }
}

fn check_machine(findings: &mut Findings, host: &str, facts: &HostFacts) {
    let at = Some(host);
    if !matches!(facts.os.id.as_str(), "debian" | "ubuntu") {
        findings.error(
            at,
            format!("it runs {}, which is not supported", name_of_os(facts)),
            "use Debian 12 or later, or Ubuntu 22.04 or later",
        );
    }
    if facts.systemd.is_empty() || facts.systemd == "offline" {
        findings.error(
            at,
            "systemd does not run there".to_owned(),
            "boot the machine with systemd: the engines' services need it",
        );
    }
    match facts.sudo {
        SudoState::Root | SudoState::Passwordless => {}
        SudoState::Refused => findings.error(
            at,
            "sudo asks for a password, or refuses".to_owned(),
            "let this user run sudo without a password, or log in as root",
        ),
        SudoState::Missing => findings.error(
            at,
            "the user is not root, and sudo is not installed".to_owned(),
            "install sudo, or log in as root",
        ),
    }
    if facts.disk_free < LEAST_DISK {
        findings.error(
            at,
            format!("only {} free in /var/lib", mib(facts.disk_free)),
            "make room: an engine needs 2 GiB before there are instances",
        );
    }
    if facts.memory_total < LEAST_MEMORY {
        findings.warning(
            at,
            format!("it has only {} of memory", mib(facts.memory_total)),
            "give it 1 GiB or more",
        );
    }
    if facts.docker {
        findings.warning(
            at,
            "Docker is installed: its firewall rules drop packets that bridges forward".to_owned(),
            "allow forwarding for the bridge (iptables -I DOCKER-USER -i bcmbr0 -j ACCEPT)",
        );
    }
}

fn check_addresses(findings: &mut Findings, member: &MemberSpec, facts: &HostFacts) {
    let at = Some(member.host.as_str());
    if let Some(address) = member.address
        && !facts.has_address(address)
    {
        findings.error(
            at,
            format!("it does not have the address {address}"),
            "give an address that the machine has",
        );
    }
    if member.address.is_none() && member_address(member, facts).is_none() {
        let reachable: Vec<String> = facts
            .reachable_addresses()
            .map(|a| a.address.to_string())
            .collect();
        if reachable.is_empty() {
            findings.error(
                at,
                "it has no address that another machine could reach".to_owned(),
                "configure its network first",
            );
        }
    }
}

/// The address that others reach a member by: the one that is given, the one that it is reached
/// by now, or the first that it has (IPv4 before IPv6, bridges of containers last).
pub(in crate::cluster) fn member_address(
    member: &MemberSpec,
    facts: &HostFacts,
) -> Option<std::net::IpAddr> {
    if member.address.is_some() {
        return member.address;
    }
    let host = member.host.rsplit('@').next().unwrap_or(&member.host);
    let bare = host.trim_matches(['[', ']']);
    let named = bare
        .parse()
        .or_else(|_| bare.rsplit_once(':').map_or("", |(h, _)| h).parse());
    if let Ok(address) = named
        && facts.reachable_addresses().any(|a| a.address == address)
    {
        return Some(address);
    }
    let is_container_bridge = |name: &str| {
        [
            "docker", "br-", "lxdbr", "incusbr", "bcmbr", "virbr", "lxcbr", "veth",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    };
    facts
        .reachable_addresses()
        .min_by_key(|a| (is_container_bridge(&a.interface), a.address.is_ipv6()))
        .map(|a| a.address)
}

fn check_engine(findings: &mut Findings, spec: &ClusterSpec, host: &str, found: &ObservedHost) {
    let at = Some(host);
    if installed(&found.facts).len() > 1 {
        findings.warning(
            at,
            "both LXD and Incus are installed".to_owned(),
            "say which one to use with --engine; the other one stays as it is",
        );
    }
    let Some(engine) = &found.engine else {
        if found.facts.listens_on(CLUSTER_PORT) {
            findings.error(
                at,
                format!("something else listens on port {CLUSTER_PORT}"),
                "stop it: members talk to each other on that port",
            );
        }
        return;
    };
    if engine.is_clustered() && engine.cluster_name() != Some(spec.name.as_str()) {
        let name = engine.cluster_name().unwrap_or("one that BCM did not make");
        findings.error(
            at,
            format!(
                "it is already in a cluster: {name}, as {}, with {} members",
                engine.member_name.as_deref().unwrap_or_default(),
                engine.members.len()
            ),
            "remove it there first (bcm cluster remove), or destroy that cluster",
        );
    }
    if !engine.is_clustered() {
        check_left_overs(findings, spec, host, engine);
    }
}

fn check_left_overs(findings: &mut Findings, spec: &ClusterSpec, host: &str, engine: &EngineState) {
    let at = Some(host);
    // A joiner gives up everything that it had; a first member keeps it.
    let joins = spec.members.first().is_some_and(|first| first.host != host);
    if joins && engine.instances > 0 {
        findings.error(
            at,
            format!(
                "its {} has {} instances, which joining would lose",
                engine.flavour, engine.instances
            ),
            "move them away first, or make this machine the first member",
        );
    }
    for pool in engine.pools.keys().filter(|_| joins) {
        findings.error(
            at,
            format!("its {} has the storage pool {pool}", engine.flavour),
            "a machine joins with no pools of its own: delete it there (storage delete), after its volumes",
        );
    }
    for network in engine.networks.keys().filter(|_| joins) {
        findings.error(
            at,
            format!("its {} has the network {network}", engine.flavour),
            "a machine joins with no networks of its own: delete it there (network delete)",
        );
    }
}

fn check_network(
    findings: &mut Findings,
    spec: &ClusterSpec,
    member: &MemberSpec,
    found: &ObservedHost,
) {
    let at = Some(member.host.as_str());
    if let Some(uplink) = &spec.network.uplink {
        if !found.facts.interfaces.contains(uplink) {
            findings.error(
                at,
                format!("there is no interface {uplink}"),
                "give an interface that every member has",
            );
        }
        return;
    }
    let bridge = &spec.network.bridge;
    let managed = found
        .engine
        .as_ref()
        .is_some_and(|e| e.networks.contains_key(bridge));
    if found.facts.interfaces.contains(bridge) && !managed {
        findings.error(
            at,
            format!("an interface named {bridge} is there already"),
            "choose another name with --bridge, or remove it (ip link delete) if nothing needs it",
        );
    }
}

fn check_together(findings: &mut Findings, members: &[(&MemberSpec, &ObservedHost)]) {
    let mut machines: BTreeMap<&str, &str> = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for (member, found) in members {
        let host = member.host.as_str();
        let id = found.facts.machine_id.as_str();
        if let Some(other) = machines.insert(id, host).filter(|_| !id.is_empty()) {
            findings.error(
                Some(host),
                format!("it is the same machine as {other}"),
                "name each machine once; a copied disk needs a machine-id of its own (systemd-machine-id-setup)",
            );
        }
        if let Some(address) = member_address(member, &found.facts)
            && let Some(other) = addresses.insert(address, host)
        {
            findings.error(
                Some(host),
                format!("it has the same address {address} as {other}"),
                "give each member an address of its own",
            );
        }
    }
    let ahead = |(_, found): &(&MemberSpec, &ObservedHost)| found.clock_ahead;
    let low = members.iter().map(ahead).fold(f64::INFINITY, f64::min);
    let high = members.iter().map(ahead).fold(f64::NEG_INFINITY, f64::max);
    if high - low > MOST_CLOCK_SKEW {
        findings.error(
            None,
            format!("the machines' clocks differ by {:.0} s", high - low),
            "switch time synchronisation on (timedatectl set-ntp true)",
        );
    }
    if let Some((first, _)) = members.first() {
        for (member, found) in &members[1..] {
            if found.facts.arch != members[0].1.facts.arch {
                findings.warning(
                    Some(&member.host),
                    format!(
                        "it is {}, while {} is {}",
                        found.facts.arch, first.host, members[0].1.facts.arch
                    ),
                    "instances cannot move between the two",
                );
            }
        }
    }
}

pub(in crate::cluster) fn name_of_os(facts: &HostFacts) -> &str {
    match facts.os.pretty.as_str() {
        "" => "an unknown system",
        name => name,
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
