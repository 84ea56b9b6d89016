//! What was found on the machines.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::Serialize;

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::{HostFacts, Machine, MachineError};
use crate::types::{ClusterMember, Config, Devices, Entity, Project};

/// What was found on all machines, by host as the specification writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Observed {
    /// The machines.
    pub hosts: BTreeMap<String, ObservedHost>,
}

/// What was found on one machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservedHost {
    /// The machine.
    pub facts: HostFacts,
    /// Seconds that its clock is ahead of this machine's.
    pub clock_ahead: f64,
    /// The engine that runs on it, where one does.
    pub engine: Option<EngineState>,
}

/// What a running engine says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineState {
    /// Which one.
    pub flavour: Flavour,
    /// Its version.
    pub version: String,
    /// How many API extensions it has; members of one cluster need the same number.
    pub api_extensions: usize,
    /// The name of its cluster, where BCM made that.
    pub cluster_name: Option<String>,
    /// Its name in its cluster; `None` where it is in none.
    pub member_name: Option<String>,
    /// The members of its cluster: name, status, failure domain, roles.
    #[serde(skip)]
    pub members: Vec<ClusterMember>,
    /// Its storage pools by name; half-made ones too.
    pub pools: BTreeMap<String, Made>,
    /// The networks that it made, by name; half-made ones too.
    pub networks: BTreeMap<String, Made>,
    /// Its projects.
    pub projects: Vec<String>,
    /// The devices of the default profile of BCM's project; `None` without such a project.
    pub profile_devices: Option<Devices>,
    /// How many instances it knows.
    pub instances: usize,
}

/// Whether a pool or network is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// It is there on every member.
    Whole,
    /// It was begun, and not finished: what an interrupted run leaves.
    Half,
}

impl Made {
    /// How far a pool or network is.
    #[must_use]
    pub fn of(entity: &Entity) -> Self {
        if entity.is_whole() {
            Self::Whole
        } else {
            Self::Half
        }
    }
}

/// The key in which a cluster keeps its name: in the configuration of its first member from the
/// beginning, and in that of BCM's project for all members. (LXD 5.0 shows a joined member the
/// server's configuration only after a restart; a project is always read from the database.)
pub const NAME_KEY: &str = "user.bcm.cluster";

impl EngineState {
    /// The name of the cluster that it is in, where BCM made that.
    #[must_use]
    pub fn cluster_name(&self) -> Option<&str> {
        self.cluster_name.as_deref()
    }

    /// Whether the pool `name` is there and whole.
    #[must_use]
    pub fn has_pool(&self, name: &str) -> bool {
        self.pools.get(name) == Some(&Made::Whole)
    }

    /// Whether the network `name` is there and whole.
    #[must_use]
    pub fn has_network(&self, name: &str) -> bool {
        self.networks.get(name) == Some(&Made::Whole)
    }

    /// Whether it is in a cluster.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.member_name.is_some()
    }
}

/// Looks at all `machines` at once. Changes nothing.
///
/// # Errors
/// Every machine that could not be looked at, with the reason; the first is enough to stop.
pub async fn observe(machines: &[Machine]) -> Result<Observed, Vec<MachineError>> {
    let (observed, failed) = observe_each(machines).await;
    if failed.is_empty() {
        Ok(observed)
    } else {
        Err(failed.into_iter().map(|(_, error)| error).collect())
    }
}

/// Looks at all `machines` at once: what was found, and the machines that could not be looked at,
/// by host. Changes nothing.
pub async fn observe_each(machines: &[Machine]) -> (Observed, Vec<(String, MachineError)>) {
    let results = join_all(machines.iter().map(observe_machine)).await;
    let mut observed = Observed::default();
    let mut failed = Vec::new();
    for (machine, result) in machines.iter().zip(results) {
        let host = machine.host().to_owned();
        match result {
            Ok(found) => {
                observed.hosts.insert(host, found);
            }
            Err(error) => failed.push((host, error)),
        }
    }
    (observed, failed)
}

async fn observe_machine(machine: &Machine) -> Result<ObservedHost, MachineError> {
    let (facts, clock_ahead) = machine.facts().await?;
    let mut engine: Option<EngineState> = None;
    for flavour in [Flavour::Lxd, Flavour::Incus] {
        if facts
            .engines
            .get(&flavour)
            .is_none_or(|engine| engine.socket.is_none())
        {
            continue;
        }
        let client = machine.engine(flavour, ClientOptions::default()).await?;
        let Some(client) = client else { continue };
        let state = engine_state(&client).await?;
        // Where both run, the one that is in a cluster is the one that matters.
        if engine.is_none() || state.is_clustered() {
            engine = Some(state);
        }
    }
    Ok(ObservedHost {
        facts,
        clock_ahead,
        engine,
    })
}

fn named(entity: Entity) -> (String, Made) {
    let made = Made::of(&entity);
    (entity.name, made)
}

fn name_of_cluster(config: &Config, projects: &[Project]) -> Option<String> {
    let project = projects.iter().find(|p| p.name == super::PROJECT);
    config
        .get(NAME_KEY)
        .or_else(|| project?.config.get(NAME_KEY))
        .cloned()
}

/// Asks one engine for all that a plan needs.
///
/// # Errors
/// A call failed.
pub async fn engine_state(client: &Client) -> Result<EngineState, LxdError> {
    let (server, cluster, pools, networks, projects, instances) = tokio::try_join!(
        client.server(),
        client.cluster(),
        client.storage_pools(),
        client.networks(),
        client.projects(),
        client.all_instances(),
    )?;
    let members = if cluster.enabled {
        client.cluster_members().await?
    } else {
        Vec::new()
    };
    let profile_devices = if projects.iter().any(|p| p.name == super::PROJECT) {
        let profiles = client.in_project(super::PROJECT).profiles().await?;
        profiles
            .into_iter()
            .find(|p| p.name == "default")
            .map(|p| p.devices)
    } else {
        None
    };
    Ok(EngineState {
        flavour: client.flavour(),
        version: server.environment.server_version,
        api_extensions: server.api_extensions.len(),
        cluster_name: name_of_cluster(&server.config, &projects),
        member_name: cluster.enabled.then_some(cluster.server_name),
        members,
        pools: pools.into_iter().map(|pool| named(pool.entity)).collect(),
        networks: networks
            .into_iter()
            .filter(|network| network.managed)
            .map(|network| named(network.entity))
            .collect(),
        projects: projects.into_iter().map(|p| p.name).collect(),
        profile_devices,
        instances: instances.len(),
    })
}
