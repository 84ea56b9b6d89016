//! From answers to a judgement; pure.

use std::collections::{BTreeMap, BTreeSet};

use bcm_ssh::Destination;

use crate::types::{ClusterMember, Entity, Instance};

use super::ask::{Answer, Cluster};
use super::{Health, InstanceCount, MemberHealth};

/// Judges what the machines answered.
pub(super) fn judge(mut answers: Vec<Answer>) -> Health {
    let cluster = answers.iter_mut().find_map(|answer| answer.cluster.take());
    match cluster {
        Some(cluster) => with_quorum(&cluster, answers),
        None => without_quorum(answers),
    }
}

fn without_quorum(answers: Vec<Answer>) -> Health {
    let mut problems = vec![
        "the cluster's database does not answer: fewer than half of its members are there"
            .to_owned(),
    ];
    problems.extend(answers.iter().filter_map(|answer| {
        let error = answer.error.as_ref().filter(|_| !answer.reachable)?;
        Some(format!("{}: {error}", answer.host))
    }));
    Health {
        healthy: false,
        quorum: false,
        survives_losses: None,
        members: answers
            .into_iter()
            .map(|answer| member(ClusterMember::default(), Some(answer)))
            .collect(),
        incomplete: Vec::new(),
        instances: BTreeMap::new(),
        problems,
    }
}

fn with_quorum(cluster: &Cluster, answers: Vec<Answer>) -> Health {
    let (matched, strangers) = match_up(&cluster.members, answers);
    let mut problems = Vec::new();
    let mut members = Vec::new();
    for (known, answer) in cluster.members.iter().zip(matched) {
        let error = answer.as_ref().and_then(|answer| answer.error.as_ref());
        match (known.is_online(), error) {
            (true, None) => {}
            (true, Some(error)) => problems.push(format!(
                "{}: {error}; the cluster still counts it as online",
                known.server_name
            )),
            (false, _) => problems.push(format!(
                "{} is {}: {}",
                known.server_name,
                known.status.to_lowercase(),
                known.message
            )),
        }
        let mut health = member(known.clone(), answer);
        health.heartbeat_age = cluster
            .heartbeats
            .get(&known.server_name)
            .filter(|_| cluster.members.len() > 1)
            .map(std::time::Duration::as_secs);
        health.pools = parts(cluster.pools.iter().map(|p| &p.entity), &known.server_name);
        health.networks = parts(
            cluster
                .networks
                .iter()
                .filter(|n| n.managed)
                .map(|n| &n.entity),
            &known.server_name,
        );
        members.push(health);
    }
    for answer in strangers {
        // A machine that is none of the members, as far as can be told.
        let host = &answer.host;
        match (&answer.error, &answer.name) {
            (Some(error), _) => problems.push(format!("{host}: {error}")),
            (None, name) => problems.push(format!(
                "{host} is no member of this cluster; it is {} in another one",
                name.as_deref().unwrap_or("a member")
            )),
        }
        members.push(member(ClusterMember::default(), Some(answer)));
    }
    let incomplete = incomplete(cluster);
    problems.extend(incomplete.iter().map(|name| format!("{name} is not whole")));
    let versions: BTreeSet<_> = members.iter().filter_map(|m| m.version.as_ref()).collect();
    if versions.len() > 1 {
        let list: Vec<&str> = versions.iter().map(|v| v.as_str()).collect();
        problems.push(format!("the members' versions differ: {}", list.join(", ")));
    }
    Health {
        healthy: problems.is_empty(),
        quorum: true,
        survives_losses: Some(losses_left(&cluster.members, &members)),
        instances: count(&cluster.instances),
        members,
        incomplete,
        problems,
    }
}

/// Whether an answer is a member's.
type Rule<'a> = dyn Fn(&ClusterMember, &Answer) -> bool + 'a;

/// Finds out which answer is which member's: by what its engine said; where that said nothing, by
/// its name or address; and where one member and one answer are left over, they are each other's.
/// The answers of no member come last.
fn match_up(
    members: &[ClusterMember],
    mut answers: Vec<Answer>,
) -> (Vec<Option<Answer>>, Vec<Answer>) {
    let mut matched: Vec<Option<Answer>> = members.iter().map(|_| None).collect();
    let said =
        |known: &ClusterMember, answer: &Answer| answer.name.as_ref() == Some(&known.server_name);
    let addressed = |known: &ClusterMember, answer: &Answer| {
        answer.name.is_none()
            && host_of(&answer.host).is_some_and(|host| {
                host == known.server_name || host_of_url(&known.url) == Some(host)
            })
    };
    let rules: [&Rule<'_>; 2] = [&said, &addressed];
    for rule in rules {
        for (known, slot) in members.iter().zip(&mut matched) {
            if slot.is_none()
                && let Some(at) = answers.iter().position(|answer| rule(known, answer))
            {
                *slot = Some(answers.remove(at));
            }
        }
    }
    let mut open = matched.iter_mut().filter(|slot| slot.is_none());
    if let (Some(slot), None, [answer]) = (open.next(), open.next(), answers.as_slice())
        && answer.name.is_none()
    {
        *slot = answers.pop();
    }
    (matched, answers)
}

/// The host in `user@host:port`, without its domain where it is a name.
fn host_of(destination: &str) -> Option<String> {
    let destination: Destination = destination.parse().ok()?;
    let host = destination.host().trim_matches(['[', ']']);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Some(host.to_owned());
    }
    host.split('.').next().map(str::to_owned)
}

/// The address in `https://ADDRESS:PORT`.
fn host_of_url(url: &str) -> Option<String> {
    host_of(url.strip_prefix("https://")?)
}

fn member(known: ClusterMember, answer: Option<Answer>) -> MemberHealth {
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
        health.version = answer.version;
        health.unreachable_because = answer.error;
    }
    health
}

/// The names of those that `member` has its part of.
fn parts<'a>(entities: impl Iterator<Item = &'a Entity>, member: &str) -> Vec<String> {
    entities
        .filter(|entity| entity.locations.iter().any(|at| at == member))
        .map(|entity| entity.name.clone())
        .collect()
}

/// How many more voters may be lost: those well beyond the majority of all voters.
fn losses_left(known: &[ClusterMember], members: &[MemberHealth]) -> usize {
    let voters: Vec<&MemberHealth> = known
        .iter()
        .zip(members)
        .filter(|(known, _)| {
            known
                .roles
                .iter()
                .any(|r| r == "database" || r == "database-leader")
                || known.database && known.roles.is_empty()
        })
        .map(|(_, member)| member)
        .collect();
    let well = voters.iter().filter(|member| member.is_well()).count();
    well.saturating_sub(voters.len() / 2 + 1)
}

fn incomplete(cluster: &Cluster) -> Vec<String> {
    let pools = cluster.pools.iter().filter(|pool| !pool.entity.is_whole());
    let networks = cluster
        .networks
        .iter()
        .filter(|network| network.managed && !network.entity.is_whole());
    pools
        .map(|pool| format!("storage pool {}", pool.entity.name))
        .chain(networks.map(|network| format!("network {}", network.entity.name)))
        .collect()
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
