//! What is known of a machine before anything on it is changed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::flavour::Flavour;

/// A machine, as it was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostFacts {
    /// The operating system.
    pub os: Os,
    /// Machine hardware name, such as `x86_64`.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// The host's own name.
    pub hostname: String,
    /// What that name resolves to on the machine itself.
    pub hostname_addresses: Vec<IpAddr>,
    /// `/etc/machine-id`: the same for two names of one machine.
    pub machine_id: String,
    /// Hardware threads.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Bytes of memory that could be used now.
    pub memory_available: u64,
    /// Bytes free where the engine keeps its data (`/var/lib`).
    pub disk_free: u64,
    /// Disks and partitions.
    pub block_devices: Vec<BlockDevice>,
    /// Seconds since 1970 by the machine's clock, when it was asked.
    pub clock: f64,
    /// Addresses of all interfaces.
    pub addresses: Vec<Address>,
    /// TCP ports that something listens on.
    pub listeners: Vec<Listener>,
    /// What systemd says of the machine: `running`, `degraded`, `offline`, or empty without it.
    pub systemd: String,
    /// Whether commands can be run as root.
    pub sudo: SudoState,
    /// The engines by flavour.
    pub engines: BTreeMap<Flavour, EngineFacts>,
    /// Packages of the distribution that may be needed besides an engine's, by name.
    pub packages: BTreeMap<String, PackageState>,
    /// Whether Docker is installed; its firewall rules drop forwarded packets of bridges.
    pub docker: bool,
    /// Programs of interest that are installed, by name: `mkfs.btrfs`, `zfs`, `lvm`, `snap`, …
    pub tools: Vec<String>,
    /// Network interfaces by name.
    pub interfaces: Vec<String>,
    /// ZFS pools.
    pub zpools: Vec<String>,
    /// LVM volume groups.
    pub volume_groups: Vec<String>,
    /// The files of BCM's notes about what it did to the machine, in `/var/lib/bcm-host/cluster`.
    pub notes: Vec<String>,
}

/// An operating system, from `/etc/os-release`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Os {
    /// `debian`, `ubuntu`, …
    pub id: String,
    /// `12`, `24.04`, …
    pub version: String,
    /// `bookworm`, …
    pub codename: String,
    /// What people call it.
    pub pretty: String,
}

/// A disk or a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlockDevice {
    /// Its path, such as `/dev/sda`.
    pub path: String,
    /// `disk`, `part`, `loop`, …
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// The file system or other content on it, such as partitions; empty where there is none.
    pub content: String,
    /// Where it is mounted; empty where it is not.
    pub mountpoint: String,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
    /// `global`, `link`, `host`.
    pub scope: String,
}

/// A TCP port that something listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The local address, `*` for all.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// Whether commands can be run as root on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SudoState {
    /// The user is root.
    Root,
    /// `sudo -n` works.
    Passwordless,
    /// sudo is there, but asks for a password or refuses.
    Refused,
    /// There is no sudo.
    Missing,
}

/// How a package stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PackageState {
    /// The installed version; `None` where it is not installed.
    pub installed: Option<String>,
    /// The version that would be installed; `None` where the package is not to be had.
    pub candidate: Option<String>,
}

/// How an engine stands on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// Its Debian package.
    pub package: PackageState,
    /// Its snap's version, where that is installed.
    pub snap: Option<String>,
    /// The socket that was found.
    pub socket: Option<String>,
    /// Whether the folder with its state exists, and is not empty.
    pub has_state: bool,
}

impl EngineFacts {
    /// Whether it is installed, in whatever way.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.package.installed.is_some() || self.snap.is_some()
    }
}

impl HostFacts {
    /// Addresses that other machines could reach this one by.
    pub fn reachable_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses
            .iter()
            .filter(|a| a.scope == "global" && !a.address.is_loopback())
    }

    /// Whether the machine has this address.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|a| a.address == address)
    }

    /// Whether something listens on `port`.
    #[must_use]
    pub fn listens_on(&self, port: u16) -> bool {
        self.listeners.iter().any(|l| l.port == port)
    }

    /// Whether BCM installed the engine, so that it may take it away again.
    #[must_use]
    pub fn engine_is_ours(&self) -> bool {
        self.notes
            .iter()
            .any(|note| matches!(note.as_str(), "packages" | "packages.before" | "snap"))
    }

    /// Whether the program `name` is installed.
    #[must_use]
    pub fn has_tool(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool == name)
    }
}
