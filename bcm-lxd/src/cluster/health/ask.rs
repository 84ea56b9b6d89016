//! What the machines answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::Machine;
use crate::types::{ClusterMember, Instance, Network, StoragePool};
use bcm_core::cause::chain;

/// What one machine answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) host: String,
    pub(super) reachable: bool,
    /// The engine's name in the cluster, where it said that.
    pub(super) name: Option<String>,
    /// The engine's version, where it said that.
    pub(super) version: Option<String>,
    pub(super) cluster: Option<Cluster>,
    pub(super) error: Option<String>,
}

/// What a member says of the whole cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) members: Vec<ClusterMember>,
    pub(super) pools: Vec<StoragePool>,
    pub(super) networks: Vec<Network>,
    pub(super) instances: Vec<Instance>,
    /// How long ago it heard from whom; empty where the engine does not tell.
    pub(super) heartbeats: BTreeMap<String, Duration>,
}

impl Answer {
    pub(super) fn failed(host: &str, reachable: bool, error: String) -> Self {
        // Who shows it names the host.
        let error = match error.strip_prefix(&format!("{host}: ")) {
            Some(rest) => rest.to_owned(),
            None => error,
        };
        Self {
            host: host.to_owned(),
            reachable,
            name: None,
            version: None,
            cluster: None,
            error: Some(error),
        }
    }
}

/// Asks one machine: where its engine listens, and then everything at once.
pub(super) async fn ask(machine: &Machine, flavour: Flavour, limit: Duration) -> Answer {
    let host = machine.host();
    // A daemon without quorum hangs: its answer may take half of the time, so that this machine
    // itself still counts as one that answers.
    let options = ClientOptions {
        connect: limit / 4,
        answer: limit / 2,
    };
    let socket = match machine.socket(flavour).await {
        Ok(Some(socket)) => socket,
        Ok(None) => return Answer::failed(host, true, format!("{flavour} does not run")),
        Err(error) => return Answer::failed(host, error.reached(), chain(&error)),
    };
    let client = Client::of_flavour(flavour, socket, options);
    let (server, cluster) = tokio::join!(client.server(), ask_cluster(&client));
    let version = server.ok().map(|server| server.environment.server_version);
    match cluster {
        Ok((name, cluster)) => Answer {
            host: host.to_owned(),
            reachable: true,
            name: Some(name),
            version,
            cluster: Some(cluster),
            error: None,
        },
        Err(error) => Answer {
            version,
            ..Answer::failed(host, true, chain(&error))
        },
    }
}

async fn ask_cluster(client: &Client) -> Result<(String, Cluster), LxdError> {
    let (info, members, pools, networks, instances, heartbeats) = tokio::try_join!(
        client.cluster(),
        client.cluster_members(),
        client.storage_pools(),
        client.networks(),
        client.all_instances(),
        // Not of the public API: an engine may do without.
        async { Ok(client.heartbeat_ages().await.unwrap_or_default()) },
    )?;
    let cluster = Cluster {
        members,
        pools,
        networks,
        instances,
        heartbeats,
    };
    Ok((info.server_name, cluster))
}

#[cfg(test)]
mod tests;
