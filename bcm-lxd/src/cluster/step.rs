//! The steps that a plan is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::flavour::Flavour;
use crate::host::EnginePackages;
use crate::types::{Config, Devices};

/// What has to be done, in order. An empty plan changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The engine that all members will have.
    pub flavour: Flavour,
    /// The members' names by host, in the order in which they join.
    pub members: Vec<PlannedMember>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A member as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedMember {
    /// How the machine is reached.
    pub host: String,
    /// Its name in the cluster.
    pub name: String,
    /// The address that others reach it by.
    pub address: IpAddr,
    /// Whether it is in the cluster already.
    pub joined: bool,
}

/// One change. Steps of the same kind on different hosts that follow each other may run at once
/// where [`Step::is_parallel`] says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
#[non_exhaustive]
pub enum Step {
    /// Installs the engine on a machine, and notes there what was installed.
    Install {
        /// The machine.
        host: String,
        /// What.
        from: EnginePackages,
    },
    /// Makes the engine listen on the member's address and begin a cluster of one.
    Bootstrap {
        /// The machine.
        host: String,
        /// Its name in the cluster.
        member: String,
        /// The address that others will reach it by.
        address: IpAddr,
        /// The cluster's name.
        cluster: String,
    },
    /// Joins a machine to the cluster.
    Join {
        /// The machine.
        host: String,
        /// Its name in the cluster.
        member: String,
        /// Its address.
        address: IpAddr,
        /// Its own keys for pools that exist already, by pool.
        pools: BTreeMap<String, Config>,
        /// Its own keys for networks that exist already, by network.
        networks: BTreeMap<String, Config>,
    },
    /// Sets a member's failure domain and roles.
    Member {
        /// Its name.
        member: String,
        /// Its failure domain.
        failure_domain: String,
        /// Roles that are given by hand.
        roles: Vec<String>,
    },
    /// Makes a storage pool: once for every member, then for the cluster.
    Pool {
        /// Its name.
        name: String,
        /// Its driver.
        driver: String,
        /// Every member's own keys, by member.
        members: BTreeMap<String, Config>,
    },
    /// Makes a network: once for every member, then for the cluster.
    Network {
        /// Its name.
        name: String,
        /// `bridge` or `macvlan`.
        kind: String,
        /// Keys of the whole cluster.
        config: Config,
        /// Every member's own keys, by member.
        members: BTreeMap<String, Config>,
    },
    /// Makes BCM's project.
    Project {
        /// Its name.
        name: String,
        /// The cluster's name, which it keeps.
        cluster: String,
    },
    /// Gives BCM's project its default profile: a root disk and a network interface.
    Profile {
        /// The project.
        project: String,
        /// The profile's devices.
        devices: Devices,
    },
}

impl Step {
    /// Whether it may run at the same time as its neighbours of the same kind.
    #[must_use]
    pub fn is_parallel(&self) -> bool {
        matches!(self, Self::Install { .. })
    }

    /// The machine or member that it is about, where it is one.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Install { host, .. } | Self::Bootstrap { host, .. } | Self::Join { host, .. } => {
                host
            }
            Self::Member { member, .. } => member,
            Self::Pool { .. }
            | Self::Network { .. }
            | Self::Project { .. }
            | Self::Profile { .. } => "cluster",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { host, from } => match from {
                EnginePackages::Apt { packages, version } => {
                    write!(f, "{host}: install {} ({version})", packages.join(" "))
                }
                EnginePackages::Snap => write!(f, "{host}: install the snap lxd"),
                EnginePackages::Installed { version } => write!(f, "{host}: keep {version}"),
            },
            Self::Bootstrap {
                host,
                member,
                address,
                cluster,
            } => write!(
                f,
                "{host}: begin the cluster {cluster} as {member} on {address}"
            ),
            Self::Join {
                host,
                member,
                address,
                ..
            } => write!(f, "{host}: join as {member} on {address}"),
            Self::Member {
                member,
                failure_domain,
                roles,
            } => {
                write!(f, "{member}: failure domain {failure_domain}")?;
                if !roles.is_empty() {
                    write!(f, ", roles {}", roles.join(", "))?;
                }
                Ok(())
            }
            Self::Pool {
                name,
                driver,
                members,
            } => write!(
                f,
                "storage pool {name} ({driver}) on {} members",
                members.len()
            ),
            Self::Network {
                name,
                kind,
                members,
                ..
            } => write!(f, "network {name} ({kind}) on {} members", members.len()),
            Self::Project { name, .. } => write!(f, "project {name}"),
            Self::Profile { project, .. } => write!(f, "default profile of project {project}"),
        }
    }
}
