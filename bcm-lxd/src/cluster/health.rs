//! How a cluster is.

use std::collections::BTreeMap;
use std::time::Duration;

use bcm_ssh::Destination;
use futures_util::future::join_all;
use serde::Serialize;

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::Machine;
use crate::types::{ClusterMember, Instance, Network, StoragePool};

/// How a cluster is, from what could be reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Whether nothing is wrong: what decides the exit code.
    pub healthy: bool,
    /// Whether the cluster's database answers. Without it nothing in the cluster can be changed.
    pub quorum: bool,
    /// How many more members with a database may be lost before it stops. `None` without quorum.
    pub survives_losses: Option<usize>,
    /// The members that are known, from the cluster or, without quorum, from the caller.
    pub members: Vec<MemberHealth>,
    /// Storage pools and networks that are not whole, by name.
    pub incomplete: Vec<String>,
    /// How many instances there are on each member, and how many of them run.
    pub instances: BTreeMap<String, InstanceCount>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// How one member is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemberHealth {
    /// Its name in the cluster; empty where only its host is known.
    pub name: String,
    /// How it is reached, where that is known.
    pub host: Option<String>,
    /// What the cluster says of it; empty without quorum.
    pub status: String,
    /// Why, in the cluster's words.
    pub message: String,
    /// Its address, as `https://…`.
    pub url: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its failure domain.
    pub failure_domain: String,
    /// Whether the machine itself could be reached.
    pub reachable: Option<bool>,
    /// Its engine's version, where the engine answered.
    pub version: Option<String>,
    /// Why the machine or its engine did not answer.
    pub unreachable_because: Option<String>,
}

/// Instances on one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InstanceCount {
    /// In all.
    pub all: usize,
    /// Of those, how many run.
    pub running: usize,
}

/// What one machine answered.
#[derive(Debug)]
struct Answer {
    host: String,
    reachable: bool,
    /// The engine's name and version, where it answered.
    engine: Option<(String, String)>,
    cluster: Option<Cluster>,
    error: Option<String>,
}

impl Answer {
    /// Whether it is the machine of `member`. One that did not say is taken for the member whose
    /// name or address it is reached by, so that a machine that is off is not shown twice.
    fn is_of(&self, member: &ClusterMember) -> bool {
        if let Some((name, _)) = self.engine.as_ref().filter(|(name, _)| !name.is_empty()) {
            return *name == member.server_name;
        }
        let Ok(destination) = self.host.parse::<Destination>() else {
            return false;
        };
        let host = destination.host().trim_matches(['[', ']']);
        let address = member.url.trim_start_matches("https://");
        let address = address.rsplit_once(':').map_or(address, |(host, _)| host);
        host == address.trim_matches(['[', ']'])
            || host == member.server_name
            || host.split('.').next() == Some(member.server_name.as_str())
    }
}

/// What a member says of the whole cluster.
#[derive(Debug)]
struct Cluster {
    members: Vec<ClusterMember>,
    pools: Vec<StoragePool>,
    networks: Vec<Network>,
    instances: Vec<Instance>,
}

/// Asks all `machines` at once, none for longer than `limit`. A machine that cannot be connected
/// to is given as the reason why.
///
/// The answer comes within the limit, whatever state the cluster is in.
pub async fn health(
    machines: &[(String, Result<Machine, String>)],
    flavour: Flavour,
    limit: Duration,
) -> Health {
    let asked = machines.iter().map(|(host, machine)| async move {
        let unanswered = |reachable, error: String| Answer {
            host: host.clone(),
            reachable,
            engine: None,
            cluster: None,
            error: Some(error),
        };
        match machine {
            Err(error) => unanswered(false, error.clone()),
            Ok(machine) => match tokio::time::timeout(limit, ask(machine, flavour, limit)).await {
                Ok(answer) => answer,
                Err(_) => unanswered(true, format!("no answer within {} s", limit.as_secs())),
            },
        }
    });
    evaluate(join_all(asked).await)
}

async fn ask(machine: &Machine, flavour: Flavour, limit: Duration) -> Answer {
    let mut answer = Answer {
        host: machine.host().to_owned(),
        reachable: false,
        engine: None,
        cluster: None,
        error: None,
    };
    let facts = match machine.facts().await {
        Ok((facts, _)) => facts,
        Err(error) => {
            answer.error = Some(chain(&error));
            return answer;
        }
    };
    answer.reachable = true;
    // A daemon without quorum hangs: its answer may take half of the time, so that this machine
    // itself still counts as one that answers.
    let options = ClientOptions {
        connect: limit / 4,
        answer: limit / 2,
    };
    let client = match machine.engine(&facts, flavour, options).await {
        Ok(Some(client)) => client,
        Ok(None) => {
            answer.error = Some(format!("{flavour} does not run"));
            return answer;
        }
        Err(error) => {
            answer.error = Some(chain(&error));
            return answer;
        }
    };
    answer.engine = Some((String::new(), client.version().to_owned()));
    match ask_cluster(&client).await {
        Ok((name, cluster)) => {
            answer.engine = Some((name, client.version().to_owned()));
            answer.cluster = Some(cluster);
        }
        Err(error) => answer.error = Some(chain(&error)),
    }
    answer
}

async fn ask_cluster(client: &Client) -> Result<(String, Cluster), LxdError> {
    let (info, members, pools, networks, instances) = tokio::try_join!(
        client.cluster(),
        client.cluster_members(),
        client.storage_pools(),
        client.networks(),
        client.all_instances(),
    )?;
    let cluster = Cluster {
        members,
        pools,
        networks,
        instances,
    };
    Ok((info.server_name, cluster))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// From answers to a judgement; pure.
fn evaluate(mut answers: Vec<Answer>) -> Health {
    let cluster = answers.iter_mut().find_map(|answer| answer.cluster.take());
    let mut problems = Vec::new();
    let Some(cluster) = cluster else {
        problems.push(
            "the cluster's database does not answer: fewer than half of its members are there"
                .to_owned(),
        );
        return Health {
            healthy: false,
            quorum: false,
            survives_losses: None,
            members: answers.into_iter().map(|a| member(None, Some(a))).collect(),
            incomplete: Vec::new(),
            instances: BTreeMap::new(),
            problems,
        };
    };
    let mut members = Vec::new();
    for known in &cluster.members {
        let at = answers.iter().position(|answer| answer.is_of(known));
        let answer = at.map(|at| answers.swap_remove(at));
        if !known.is_online() {
            problems.push(format!(
                "{} is {}: {}",
                known.server_name,
                known.status.to_lowercase(),
                known.message
            ));
        }
        if let Some(Answer {
            host,
            error: Some(error),
            ..
        }) = &answer
        {
            problems.push(format!("{host}: {error}"));
        }
        members.push(member(Some(known), answer));
    }
    for answer in answers {
        // A machine that did not say which member it is.
        if let Some(error) = &answer.error {
            problems.push(format!("{}: {error}", answer.host));
        }
        members.push(member(None, Some(answer)));
    }
    let survives = losses_left(&cluster.members);
    let incomplete = incomplete(&cluster);
    problems.extend(incomplete.iter().map(|name| format!("{name} is not whole")));
    let versions: std::collections::BTreeSet<_> =
        members.iter().filter_map(|m| m.version.as_ref()).collect();
    if versions.len() > 1 {
        let list: Vec<&str> = versions.iter().map(|v| v.as_str()).collect();
        problems.push(format!("the members' versions differ: {}", list.join(", ")));
    }
    Health {
        healthy: problems.is_empty(),
        quorum: true,
        survives_losses: Some(survives),
        instances: count(&cluster.instances),
        members,
        incomplete,
        problems,
    }
}

fn member(known: Option<&ClusterMember>, answer: Option<Answer>) -> MemberHealth {
    let known = known.cloned().unwrap_or_default();
    let mut health = MemberHealth {
        name: known.server_name,
        status: known.status,
        message: known.message,
        url: known.url,
        roles: known.roles,
        failure_domain: known.failure_domain,
        ..MemberHealth::default()
    };
    if let Some(answer) = answer {
        health.host = Some(answer.host);
        health.reachable = Some(answer.reachable);
        health.version = answer.engine.map(|(_, version)| version);
        health.unreachable_because = answer.error;
    }
    health
}

/// How many more voters may be lost: those online beyond the majority of all voters.
fn losses_left(members: &[ClusterMember]) -> usize {
    let is_voter = |m: &&ClusterMember| {
        m.roles
            .iter()
            .any(|r| r == "database" || r == "database-leader")
            || m.database && m.roles.is_empty()
    };
    let voters = members.iter().filter(is_voter).count();
    let online = members
        .iter()
        .filter(is_voter)
        .filter(|m| m.is_online())
        .count();
    online.saturating_sub(voters / 2 + 1)
}

fn incomplete(cluster: &Cluster) -> Vec<String> {
    let whole = |status: &str| status.is_empty() || status.eq_ignore_ascii_case("created");
    let pools = cluster
        .pools
        .iter()
        .filter(|pool| !whole(&pool.status))
        .map(|pool| format!("storage pool {}", pool.name));
    let networks = cluster
        .networks
        .iter()
        .filter(|network| network.managed && !whole(&network.status))
        .map(|network| format!("network {}", network.name));
    pools.chain(networks).collect()
}

fn count(instances: &[Instance]) -> BTreeMap<String, InstanceCount> {
    let mut counts: BTreeMap<String, InstanceCount> = BTreeMap::new();
    for instance in instances {
        let count = counts.entry(instance.location.clone()).or_default();
        count.all += 1;
        count.running += usize::from(instance.status.eq_ignore_ascii_case("running"));
    }
    counts
}

#[cfg(test)]
mod tests;
