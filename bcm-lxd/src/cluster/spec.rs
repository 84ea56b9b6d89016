//! What is wanted.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::machines::MachineSpec;

/// The port that members talk to each other on.
pub const CLUSTER_PORT: u16 = 8443;

/// A cluster as somebody wants it. The same type is read from `bcm.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name, for people and for BCM. Default `bcm`.
    #[serde(default = "default_name")]
    pub name: String,
    /// How the machines are reached; for whoever connects to them.
    #[serde(default)]
    pub driver: Option<DriverChoice>,
    /// Which engine. Default [`EngineChoice::Auto`].
    #[serde(default)]
    pub engine: EngineChoice,
    /// The members, in the order in which they join. At least one.
    #[serde(default, rename = "member")]
    pub members: Vec<MemberSpec>,
    /// The storage pool.
    #[serde(default)]
    pub storage: StorageSpec,
    /// The network.
    #[serde(default)]
    pub network: NetworkSpec,
    /// The virtual machines to make, with [`DriverChoice::Vm`]; for whoever makes them.
    #[serde(default)]
    pub vm: Option<MachineSpec>,
}

fn default_name() -> String {
    "bcm".to_owned()
}

/// How the machines of a cluster are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverChoice {
    /// This machine is the only member.
    Local,
    /// The members are given, and reached over SSH.
    Ssh,
    /// Virtual machines are made for it.
    Vm,
}

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// LXD.
    Lxd,
    /// Incus.
    Incus,
    /// The one that all members have; else the one that all can get: on Debian Incus before LXD,
    /// elsewhere LXD before Incus.
    #[default]
    Auto,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// How the machine is reached: `user@host[:port]`, or `local`.
    pub host: String,
    /// Its name in the cluster; the machine's own name where it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The address that other members reach it by; found where it is left out.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What fails together with it, such as a rack or a room. Default `default`.
    #[serde(default)]
    pub failure_domain: Option<String>,
    /// Roles that are given by hand, such as `event-hub`; the database's are automatic.
    #[serde(default)]
    pub roles: Vec<String>,
    /// This member's own storage, where it differs.
    #[serde(default)]
    pub storage: StorageOverride,
}

/// What a member has of its own for the storage pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageOverride {
    /// As [`StorageSpec::size`].
    #[serde(default)]
    pub size: Option<String>,
    /// As [`StorageSpec::source`].
    #[serde(default)]
    pub source: Option<String>,
}

/// The storage pool that every member has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSpec {
    /// Its name. Default `bcm`.
    #[serde(default = "default_name")]
    pub pool: String,
    /// Its driver. Default `dir`, which works everywhere.
    #[serde(default)]
    pub driver: StorageDriver,
    /// The size of the file that it is kept in, such as `20GiB`, where it has no source of its
    /// own. Not for `dir`.
    #[serde(default)]
    pub size: Option<String>,
    /// A disk, a partition, or what the driver calls its source; whole disks are overwritten.
    #[serde(default)]
    pub source: Option<String>,
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self {
            pool: default_name(),
            driver: StorageDriver::default(),
            size: None,
            source: None,
        }
    }
}

/// A storage driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageDriver {
    /// Folders; no snapshots by reference.
    #[default]
    Dir,
    /// btrfs.
    Btrfs,
    /// ZFS.
    Zfs,
    /// LVM.
    Lvm,
}

impl StorageDriver {
    /// The driver's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Btrfs => "btrfs",
            Self::Zfs => "zfs",
            Self::Lvm => "lvm",
        }
    }
}

impl fmt::Display for StorageDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The network that instances are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// The bridge's name, at most 15 bytes. Default `bcmbr0`.
    #[serde(default = "default_bridge")]
    pub bridge: String,
    /// Its IPv4 network such as `10.77.0.1/24`, `auto` or `none`. Default `auto`.
    #[serde(default = "default_auto")]
    pub ipv4: String,
    /// Its IPv6 network, `auto` or `none`. Default `none`.
    #[serde(default = "default_none")]
    pub ipv6: String,
    /// An interface of every member that instances are put onto directly (macvlan), instead of
    /// the bridge.
    #[serde(default)]
    pub uplink: Option<String>,
}

fn default_bridge() -> String {
    "bcmbr0".to_owned()
}

fn default_auto() -> String {
    "auto".to_owned()
}

fn default_none() -> String {
    "none".to_owned()
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self {
            bridge: default_bridge(),
            ipv4: default_auto(),
            ipv6: default_none(),
            uplink: None,
        }
    }
}

/// A specification that cannot be meant, whatever the machines are like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A cluster without members.
    #[error("the cluster has no members: give at least one host")]
    NoMembers,
    /// A name that the engine would refuse.
    #[error("{what} {name:?}: {why}")]
    Name {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// The same value twice where each member has its own.
    #[error("two members have the {what} {value}")]
    Twice {
        /// What is the same.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// An address that other machines cannot reach.
    #[error(
        "member {host}: the address {address} is {why}; give one that the other members can reach"
    )]
    Address {
        /// The member's host.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is instead.
        why: &'static str,
    },
    /// Keys that do not go together.
    #[error("{0}")]
    Conflict(String),
}

impl MemberSpec {
    /// A member of which only the host is given.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            name: None,
            address: None,
            failure_domain: None,
            roles: Vec::new(),
            storage: StorageOverride::default(),
        }
    }
}

impl ClusterSpec {
    /// A cluster without members, and with the defaults for the rest.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            driver: None,
            engine: EngineChoice::default(),
            members: Vec::new(),
            storage: StorageSpec::default(),
            network: NetworkSpec::default(),
            vm: None,
        }
    }

    /// Checks what can be checked without looking at a machine.
    ///
    /// # Errors
    /// The first thing that cannot be meant.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.members.is_empty() {
            return Err(SpecError::NoMembers);
        }
        check_name("the cluster's name", &self.name)?;
        check_name("the pool's name", &self.storage.pool)?;
        if self.network.bridge.len() > 15 {
            return Err(SpecError::Name {
                what: "the bridge's name",
                name: self.network.bridge.clone(),
                why: "an interface's name has at most 15 bytes",
            });
        }
        check_name("the bridge's name", &self.network.bridge)?;
        for member in &self.members {
            if let Some(name) = &member.name {
                check_name("the member's name", name)?;
            }
            if let Some(address) = member.address {
                check_address(&member.host, address)?;
            }
        }
        unique("host", self.members.iter().map(|m| m.host.clone()))?;
        unique("name", self.members.iter().filter_map(|m| m.name.clone()))?;
        unique(
            "address",
            self.members
                .iter()
                .filter_map(|m| Some(m.address?.to_string())),
        )?;
        if self.storage.driver == StorageDriver::Dir
            && (self.storage.size.is_some()
                || self.members.iter().any(|m| m.storage.size.is_some()))
        {
            return Err(SpecError::Conflict(
                "the storage driver dir takes no size: it uses the file system that it is on"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// What the engines accept as a member's, pool's or network's name: a host name's label.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), SpecError> {
    let why = if name.is_empty() {
        "a name has at least one character"
    } else if name.len() > 63 {
        "a name has at most 63 characters"
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        "a name has only letters, digits and hyphens"
    } else if name.starts_with('-') || name.ends_with('-') {
        "a name neither begins nor ends with a hyphen"
    } else if name.bytes().all(|b| b.is_ascii_digit()) {
        "a name is not a number"
    } else {
        return Ok(());
    };
    Err(SpecError::Name {
        what,
        name: name.to_owned(),
        why,
    })
}

pub(super) fn check_address(host: &str, address: IpAddr) -> Result<(), SpecError> {
    let why = if address.is_loopback() {
        "loopback"
    } else if address.is_unspecified() {
        "a wildcard"
    } else if address.is_multicast() {
        "multicast"
    } else {
        return Ok(());
    };
    Err(SpecError::Address {
        host: host.to_owned(),
        address,
        why,
    })
}

fn unique(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if let Some(value) = seen.replace(value) {
            return Err(SpecError::Twice { what, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(hosts: &[&str]) -> ClusterSpec {
        ClusterSpec {
            members: hosts.iter().copied().map(MemberSpec::new).collect(),
            ..ClusterSpec::new("home")
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        assert_eq!(spec(&[]).validate(), Err(SpecError::NoMembers));
        assert!(spec(&["a", "b"]).validate().is_ok());
        assert!(matches!(
            spec(&["a", "a"]).validate(),
            Err(SpecError::Twice { what: "host", .. })
        ));
        let mut loopback = spec(&["a"]);
        loopback.members[0].address = "127.0.1.1".parse().ok();
        assert!(matches!(
            loopback.validate(),
            Err(SpecError::Address { .. })
        ));
        let mut name = spec(&["a"]);
        name.members[0].name = Some("under_score".to_owned());
        assert!(matches!(name.validate(), Err(SpecError::Name { .. })));
    }
}
