//! How an engine is installed.

use serde::Serialize;

use crate::flavour::Flavour;

use super::facts::HostFacts;

/// How an engine comes onto a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "from")]
pub enum EnginePackages {
    /// It is there already, in this version.
    Installed {
        /// The version.
        version: String,
    },
    /// Packages of the distribution.
    Apt {
        /// The packages.
        packages: Vec<String>,
        /// The engine's version that they bring.
        version: String,
    },
    /// Canonical's snap.
    Snap,
}

/// How `flavour` would come onto the machine, with the tools that the storage driver `storage`
/// needs; `None` where there is no way.
///
/// Debian has LXD 5.0 since 12 (bookworm) and Incus since 13 (trixie); Ubuntu has LXD as a snap and
/// Incus since 24.04.
#[must_use]
pub fn engine_packages(
    facts: &HostFacts,
    flavour: Flavour,
    storage: &str,
) -> Option<EnginePackages> {
    let engine = facts.engines.get(&flavour)?;
    if let Some(version) = engine.package.installed.as_ref().or(engine.snap.as_ref()) {
        return Some(EnginePackages::Installed {
            version: version.clone(),
        });
    }
    // Where a package of Ubuntu's is named lxd it only installs the snap, and may hang without a
    // snap store; the snap itself is asked for instead.
    if let Some(version) = engine
        .package
        .candidate
        .as_ref()
        .filter(|_| !(flavour == Flavour::Lxd && facts.os.id == "ubuntu"))
    {
        let mut packages: Vec<&str> = match flavour {
            Flavour::Lxd => vec!["lxd", "lxd-client", "dnsmasq-base", "nftables", "iptables"],
            Flavour::Incus => vec!["incus", "dnsmasq-base", "nftables"],
        };
        packages.extend(
            storage_packages(storage)
                .iter()
                .filter(|(_, tool)| !facts.has_tool(tool))
                .map(|(package, _)| package),
        );
        return Some(EnginePackages::Apt {
            packages: packages.into_iter().map(str::to_owned).collect(),
            version: version.clone(),
        });
    }
    (flavour == Flavour::Lxd && facts.has_tool("snap")).then_some(EnginePackages::Snap)
}

/// Packages that a storage driver needs, each with the program that shows it is there.
#[must_use]
pub(crate) fn storage_packages(driver: &str) -> &'static [(&'static str, &'static str)] {
    match driver {
        "btrfs" => &[("btrfs-progs", "mkfs.btrfs")],
        "zfs" => &[("zfsutils-linux", "zpool")],
        "lvm" => &[("lvm2", "lvm"), ("thin-provisioning-tools", "thin_check")],
        _ => &[],
    }
}
