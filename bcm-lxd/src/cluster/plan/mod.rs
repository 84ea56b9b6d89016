//! From what was found to what is wanted.

use std::collections::BTreeMap;

use crate::host::EnginePackages;
use crate::types::Config;

use crate::cluster::checks::{Finding, Severity, check, member_address};
use crate::cluster::engine::choose_engine;
use crate::cluster::observe::{EngineState, Observed, ObservedHost};
use crate::cluster::spec::{ClusterSpec, MemberSpec, SpecError, StorageDriver, check_name};
use crate::cluster::step::{Plan, PlannedMember, Step};

/// BCM's project in a cluster.
pub const PROJECT: &str = "bcm";

/// There is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The specification cannot be meant.
    #[error("the cluster's specification is not usable")]
    Spec(#[from] SpecError),
    /// A machine was not looked at.
    #[error("nothing is known of {0}")]
    Unknown(String),
    /// The machines are not fit; all findings, the warnings too.
    #[error("{} of the checks failed; nothing was changed", .0.iter().filter(|f| f.severity == Severity::Error).count())]
    Checks(Vec<Finding>),
}

/// Makes the plan: the steps that lead from `observed` to `spec`, and the warnings of the checks.
///
/// # Errors
/// The specification is not usable, or a check failed.
pub fn plan(spec: &ClusterSpec, observed: &Observed) -> Result<(Plan, Vec<Finding>), PlanError> {
    spec.validate()?;
    let mut members = Vec::new();
    for member in &spec.members {
        let found = observed
            .hosts
            .get(&member.host)
            .ok_or_else(|| PlanError::Unknown(member.host.clone()))?;
        members.push((member, found));
    }
    let findings = check(spec, observed);
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(PlanError::Checks(findings));
    }
    let (flavour, ways) =
        choose_engine(spec, &members).map_err(|finding| PlanError::Checks(vec![*finding]))?;
    let planned = name_members(spec, &members)?;
    let mut steps = Vec::new();
    for (member, way) in planned.iter().zip(ways) {
        if !matches!(way, EnginePackages::Installed { .. }) {
            steps.push(Step::Install {
                host: member.host.clone(),
                from: way,
            });
        }
    }
    let cluster = existing(spec, &members);
    join_steps(spec, &members, &planned, cluster, &mut steps);
    member_steps(spec, &planned, cluster, &mut steps);
    shared_steps(spec, &planned, cluster, &mut steps);
    let plan = Plan {
        flavour,
        members: planned,
        steps,
    };
    Ok((plan, findings))
}

/// The cluster as it is, seen from the first member that is in it.
fn existing<'a>(
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &'a ObservedHost)],
) -> Option<&'a EngineState> {
    members
        .iter()
        .filter_map(|(_, found)| found.engine.as_ref())
        .find(|engine| engine.is_clustered() && engine.cluster_name() == Some(spec.name.as_str()))
}

fn name_members(
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &ObservedHost)],
) -> Result<Vec<PlannedMember>, PlanError> {
    let mut planned: Vec<PlannedMember> = Vec::new();
    for (member, found) in members {
        let engine = found
            .engine
            .as_ref()
            .filter(|e| e.cluster_name() == Some(spec.name.as_str()));
        let joined = engine.and_then(|engine| engine.member_name.clone());
        let name = joined
            .clone()
            .or_else(|| member.name.clone())
            .unwrap_or_else(|| {
                let name = &found.facts.hostname;
                name.split('.').next().unwrap_or(name).to_owned()
            });
        check_name("the member's name", &name)?;
        if planned.iter().any(|other| other.name == name) {
            return Err(SpecError::Twice {
                what: "name",
                value: name,
            }
            .into());
        }
        // The checks found an address for every member.
        let Some(address) = member_address(member, &found.facts) else {
            return Err(PlanError::Unknown(member.host.clone()));
        };
        planned.push(PlannedMember {
            host: member.host.clone(),
            name,
            address,
            joined: joined.is_some(),
        });
    }
    Ok(planned)
}

fn join_steps(
    spec: &ClusterSpec,
    members: &[(&MemberSpec, &ObservedHost)],
    planned: &[PlannedMember],
    cluster: Option<&EngineState>,
    steps: &mut Vec<Step>,
) {
    let mut begun = cluster.is_some();
    let project = Step::Project {
        name: PROJECT.to_owned(),
        cluster: spec.name.clone(),
    };
    if cluster.is_some_and(|c| c.projects.iter().all(|p| p != PROJECT)) {
        steps.push(project.clone());
    }
    for (member, (wanted, _)) in planned.iter().zip(members) {
        if member.joined {
            continue;
        }
        if !begun {
            begun = true;
            steps.push(Step::Bootstrap {
                host: member.host.clone(),
                member: member.name.clone(),
                address: member.address,
                cluster: spec.name.clone(),
            });
            // Before anybody joins: it tells the others which cluster they are in.
            steps.push(project.clone());
            continue;
        }
        let has = |pool: &&String| cluster.is_some_and(|c| c.has_pool(pool));
        let pools = [&spec.storage.pool]
            .into_iter()
            .filter(has)
            .map(|pool| (pool.clone(), pool_config(spec, wanted)))
            .collect();
        steps.push(Step::Join {
            host: member.host.clone(),
            member: member.name.clone(),
            address: member.address,
            pools,
            networks: BTreeMap::new(),
        });
    }
}

fn member_steps(
    spec: &ClusterSpec,
    planned: &[PlannedMember],
    cluster: Option<&EngineState>,
    steps: &mut Vec<Step>,
) {
    for (member, wanted) in planned.iter().zip(&spec.members) {
        let now = cluster.and_then(|c| c.members.iter().find(|m| m.server_name == member.name));
        let domain_now = now.map_or("default", |m| m.failure_domain.as_str());
        let domain = wanted.failure_domain.as_deref().unwrap_or("default");
        let has_roles = wanted
            .roles
            .iter()
            .all(|role| now.is_some_and(|m| m.roles.contains(role)));
        if domain != domain_now || !has_roles {
            steps.push(Step::Member {
                member: member.name.clone(),
                failure_domain: domain.to_owned(),
                roles: wanted.roles.clone(),
            });
        }
    }
}

/// Pools, networks and the profile.
fn shared_steps(
    spec: &ClusterSpec,
    planned: &[PlannedMember],
    cluster: Option<&EngineState>,
    steps: &mut Vec<Step>,
) {
    let pool = &spec.storage.pool;
    if !cluster.is_some_and(|c| c.has_pool(pool)) {
        steps.push(Step::Pool {
            name: pool.clone(),
            driver: spec.storage.driver.to_string(),
            members: planned
                .iter()
                .zip(&spec.members)
                .map(|(member, wanted)| (member.name.clone(), pool_config(spec, wanted)))
                .collect(),
        });
    }
    if spec.network.uplink.is_none()
        && !cluster.is_some_and(|c| c.has_network(&spec.network.bridge))
    {
        steps.push(Step::Network {
            name: spec.network.bridge.clone(),
            kind: "bridge".to_owned(),
            config: [
                ("ipv4.address".to_owned(), spec.network.ipv4.clone()),
                ("ipv6.address".to_owned(), spec.network.ipv6.clone()),
            ]
            .into(),
            members: planned
                .iter()
                .map(|member| (member.name.clone(), Config::new()))
                .collect(),
        });
    }
    let devices = profile_devices(spec);
    if cluster.and_then(|c| c.profile_devices.as_ref()) != Some(&devices) {
        steps.push(Step::Profile {
            project: PROJECT.to_owned(),
            devices,
        });
    }
}

fn pool_config(spec: &ClusterSpec, member: &MemberSpec) -> Config {
    let mut config = Config::new();
    if let Some(source) = member
        .storage
        .source
        .as_ref()
        .or(spec.storage.source.as_ref())
    {
        config.insert("source".to_owned(), source.clone());
    }
    let size = member.storage.size.as_ref().or(spec.storage.size.as_ref());
    if let Some(size) = size.filter(|_| spec.storage.driver != StorageDriver::Dir) {
        config.insert("size".to_owned(), size.clone());
    }
    config
}

fn profile_devices(spec: &ClusterSpec) -> BTreeMap<String, Config> {
    let device = |pairs: &[(&str, &str)]| -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let nic = match &spec.network.uplink {
        Some(uplink) => device(&[("type", "nic"), ("nictype", "macvlan"), ("parent", uplink)]),
        None => device(&[
            ("type", "nic"),
            ("network", &spec.network.bridge),
            ("name", "eth0"),
        ]),
    };
    [
        (
            "root".to_owned(),
            device(&[
                ("type", "disk"),
                ("path", "/"),
                ("pool", &spec.storage.pool),
            ]),
        ),
        ("eth0".to_owned(), nic),
    ]
    .into()
}

#[cfg(test)]
mod tests;
