//! Whether the storage pool can be made.

use crate::cluster::engine::installed;
use crate::cluster::observe::ObservedHost;
use crate::cluster::spec::{ClusterSpec, MemberSpec, StorageDriver};
use crate::host::{HostFacts, storage_packages};

use super::Findings;

/// The driver's tools are there, or come with the engine.
pub(super) fn check_tools(
    findings: &mut Findings,
    spec: &ClusterSpec,
    host: &str,
    facts: &HostFacts,
) {
    let driver = spec.storage.driver;
    for (package, tool) in storage_packages(driver.as_str()) {
        if facts.has_tool(tool) {
            continue;
        }
        let known = facts.packages.get(*package);
        let to_be_had = known.is_some_and(|package| package.candidate.is_some());
        if !to_be_had {
            findings.error(
                Some(host),
                format!("the storage driver {driver} needs {package}, which is not to be had there"),
                "choose another driver with --storage, or add what has it to the machine's apt sources (zfs: Debian's component contrib)",
            );
        } else if !installed(facts).is_empty() {
            findings.error(
                Some(host),
                format!("the storage driver {driver} needs {package}, which the engine was installed without"),
                "install it there, and restart the engine's service; or choose another driver with --storage",
            );
        }
    }
}

/// Nothing is in the way of the pool.
pub(super) fn check_storage(
    findings: &mut Findings,
    spec: &ClusterSpec,
    member: &MemberSpec,
    found: &ObservedHost,
) {
    let at = Some(member.host.as_str());
    let facts = &found.facts;
    if found
        .engine
        .as_ref()
        .is_some_and(|e| e.pools.contains_key(&spec.storage.pool))
    {
        return;
    }
    let left_over = match spec.storage.driver {
        StorageDriver::Zfs => facts
            .zpools
            .contains(&spec.storage.pool)
            .then_some("ZFS pool"),
        StorageDriver::Lvm => facts
            .volume_groups
            .contains(&spec.storage.pool)
            .then_some("LVM volume group"),
        _ => None,
    };
    if let Some(kind) = left_over {
        findings.error(
            at,
            format!("a {kind} named {} is there already", spec.storage.pool),
            "choose another pool name, or remove it (zpool destroy, vgremove) if nothing needs it",
        );
    }
    let source = member
        .storage
        .source
        .as_ref()
        .or(spec.storage.source.as_ref());
    if let Some(source) = source.filter(|source| source.starts_with("/dev/")) {
        match facts.block_devices.iter().find(|d| &d.path == source) {
            None => findings.error(
                at,
                format!("there is no {source}"),
                "give a disk or partition that lsblk shows on that machine",
            ),
            Some(device) if !device.mountpoint.is_empty() => findings.error(
                at,
                format!("{source} is mounted on {}", device.mountpoint),
                "give a disk that is not in use: it is overwritten",
            ),
            Some(device) if !device.content.is_empty() => findings.error(
                at,
                format!("{source} has something on it ({})", device.content),
                "give an empty disk, or wipe it first (wipefs -a) if nothing needs it",
            ),
            Some(_) => {}
        }
    }
}
