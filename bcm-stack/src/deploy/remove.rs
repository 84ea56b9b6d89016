//! Stops a stack, and takes it away.

use std::collections::BTreeSet;
use std::time::Duration;

use bcm_core::progress::{Level, SharedProgress};
use bcm_lxd::Client;
use bcm_lxd::types::{InstanceAction, InstanceStatePut};
use serde::Serialize;

use super::DeployError;
use super::observe::Seen;

/// How long one operation may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Seconds that an instance has to shut down before its power is cut.
const SHUTDOWN: i64 = 60;

/// What was taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Instances that were stopped and removed.
    pub instances: Vec<String>,
    /// Volumes that were removed.
    pub volumes: Vec<String>,
    /// Volumes with data that stay.
    pub kept: Vec<String>,
    /// What is on members that do not answer, and stays until they do.
    pub out_of_reach: Vec<String>,
}

/// What was stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Instances that were running.
    pub stopped: Vec<String>,
    /// Those on members that do not answer; they may be running.
    pub out_of_reach: Vec<String>,
}

/// Stops the instances of a stack.
///
/// # Errors
/// One could not be stopped.
pub async fn stop(client: &Client, seen: &Seen) -> Result<Stopped, DeployError> {
    let mut all = Stopped::default();
    for instance in reachable(seen, &mut all.out_of_reach) {
        if halt(client, &instance, seen).await? {
            all.stopped.push(instance);
        }
    }
    Ok(all)
}

/// What [`remove`] takes away. Pure.
#[must_use]
pub fn removal(seen: &Seen, volumes: bool) -> Removed {
    let mut removed = Removed::default();
    removed.instances = reachable(seen, &mut removed.out_of_reach);
    for (volume, member) in &seen.found.volumes {
        let answers = member.is_empty() || online(seen).contains(member.as_str());
        let list = match (volumes, answers) {
            (false, _) => &mut removed.kept,
            (true, true) => &mut removed.volumes,
            (true, false) => &mut removed.out_of_reach,
        };
        list.push(volume.clone());
    }
    removed
}

/// The members that answer, by name.
fn online(seen: &Seen) -> BTreeSet<&str> {
    let online = seen.members.iter().filter(|member| member.online);
    online.map(|member| member.name.as_str()).collect()
}

/// Takes the instances of a stack away; with `volumes`, its data too. Its volumes are in `pool`.
///
/// # Errors
/// Something could not be removed; the same again goes on from there.
pub async fn remove(
    client: &Client,
    seen: &Seen,
    pool: &str,
    volumes: bool,
    progress: &SharedProgress,
) -> Result<Removed, DeployError> {
    let removed = removal(seen, volumes);
    for instance in &removed.instances {
        halt(client, instance, seen).await?;
        let deleting = client.delete_instance(instance).await?;
        deleting.wait(LIMIT).await?;
        progress.note(Level::Info, &format!("removed {instance}"));
    }
    for volume in &removed.volumes {
        let member = seen.found.volumes.get(volume).filter(|m| !m.is_empty());
        client
            .delete_volume(pool, volume, member.map(String::as_str))
            .await?;
    }
    Ok(removed)
}

/// The instances on members that answer.
fn reachable(seen: &Seen, out_of_reach: &mut Vec<String>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, instance) in &seen.found.instances {
        let member = seen.members.iter().find(|m| m.name == instance.location);
        match member.is_none_or(|member| member.online) {
            true => names.push(name.clone()),
            false => out_of_reach.push(name.clone()),
        }
    }
    names
}

async fn halt(client: &Client, instance: &str, seen: &Seen) -> Result<bool, DeployError> {
    let status = seen
        .found
        .instances
        .get(instance)
        .map(|i| i.status.as_str());
    if status == Some("Stopped") {
        return Ok(false);
    }
    let put = |force| InstanceStatePut {
        action: InstanceAction::Stop,
        timeout: if force { -1 } else { SHUTDOWN },
        force,
    };
    let asked = client.set_instance_state(instance, &put(false)).await?;
    if asked.wait(LIMIT).await.is_err() {
        // One that does not listen.
        let forced = client.set_instance_state(instance, &put(true)).await?;
        forced.wait(LIMIT).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Member;

    #[test]
    fn what_is_out_of_reach_is_not_said_to_go() {
        let member = |name: &str, online| Member {
            name: name.to_owned(),
            address: [10, 0, 0, 1].into(),
            failure_domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            online,
        };
        let mut seen = Seen {
            members: vec![member("up", true), member("down", false)],
            ..Seen::default()
        };
        for (number, member) in ["up", "down"].into_iter().enumerate() {
            let instance = bcm_lxd::types::Instance {
                name: format!("a-{number}"),
                location: member.to_owned(),
                ..Default::default()
            };
            seen.found
                .volumes
                .insert(format!("a-{number}-data"), member.to_owned());
            seen.found.instances.insert(instance.name.clone(), instance);
        }
        let all = removal(&seen, true);
        assert_eq!(all.instances, ["a-0"]);
        assert_eq!(all.volumes, ["a-0-data"]);
        assert_eq!(all.out_of_reach, ["a-1", "a-1-data"]);
        let kept = removal(&seen, false);
        assert_eq!(kept.kept, ["a-0-data", "a-1-data"]);
        assert_eq!(kept.out_of_reach, ["a-1"]);
    }
}
