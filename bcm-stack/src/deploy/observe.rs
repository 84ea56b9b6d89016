//! What there is of a stack.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bcm_lxd::Client;
use bcm_lxd::types::{ClusterMember, Instance, StorageVolume};

use super::DeployError;
use crate::place::{Existing, Member};
use crate::plan::Found;
use crate::wanted::{KIND_KEY, NUMBER_KEY, STACK_KEY};

/// What was seen of a stack.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The cluster's members.
    pub members: Vec<Member>,
    /// The stack's instances, as placing takes them.
    pub existing: Vec<Existing>,
    /// Its instances and volumes, as planning takes them.
    pub found: Found,
}

/// Looks at the stack `name`, with a client in its project. Its volumes are in `pool`.
///
/// # Errors
/// The cluster cannot be asked.
pub async fn observe(client: &Client, name: &str, pool: &str) -> Result<Seen, DeployError> {
    let members = members(client).await?;
    let mut existing = Vec::new();
    let mut instances = BTreeMap::new();
    for instance in client.instances().await? {
        let Some((kind, number)) = whose(&instance, name, &members) else {
            continue;
        };
        existing.push(Existing {
            kind,
            number,
            member: instance.location.clone(),
        });
        instances.insert(instance.name.clone(), instance);
    }
    let volumes = volumes_of(client, name, pool).await?;
    Ok(Seen {
        members,
        existing,
        found: Found {
            instances,
            volumes: volumes
                .into_iter()
                .map(|volume| {
                    let on = Some(volume.location).filter(|member| member != "none");
                    (volume.name, on.unwrap_or_default())
                })
                .collect(),
        },
    })
}

/// The kind and number of an instance of the stack `name`; `None` where it is none of it.
///
/// Of an instance on a member that does not answer, an engine knows the name and nothing else.
fn whose(instance: &Instance, name: &str, members: &[Member]) -> Option<(String, u32)> {
    if let Some(stack) = instance.config.get(STACK_KEY) {
        let number = instance.config.get(NUMBER_KEY)?.parse().ok()?;
        let kind = instance.config.get(KIND_KEY)?.clone();
        return (stack == name).then_some((kind, number));
    }
    let member = members
        .iter()
        .find(|member| member.name == instance.location)?;
    if member.online || !instance.config.is_empty() {
        return None;
    }
    let rest = instance.name.strip_prefix(name)?.strip_prefix('-')?;
    match rest.rsplit_once('-') {
        None => Some((name.to_owned(), rest.parse().ok()?)),
        Some((kind, number)) => Some((kind.to_owned(), number.parse().ok()?)),
    }
}

/// The volumes of the stack `name` in `pool`.
async fn volumes_of(
    client: &Client,
    name: &str,
    pool: &str,
) -> Result<Vec<StorageVolume>, DeployError> {
    let mut volumes = client.volumes(pool).await?;
    volumes.retain(|volume| {
        let project = client
            .project()
            .is_none_or(|project| volume.project == project);
        let stack = volume
            .config
            .get(STACK_KEY)
            .is_some_and(|stack| stack == name);
        volume.kind == "custom" && project && stack
    });
    Ok(volumes)
}

/// The members, by name.
async fn members(client: &Client) -> Result<Vec<Member>, DeployError> {
    let members = client.cluster_members().await?;
    let mut members: Vec<Member> = members.iter().filter_map(member).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn member(member: &ClusterMember) -> Option<Member> {
    Some(Member {
        name: member.server_name.clone(),
        address: address(&member.url)?,
        failure_domain: member.failure_domain.clone(),
        architecture: member.architecture.clone(),
        online: member.status.eq_ignore_ascii_case("online"),
    })
}

/// The address in `https://ADDRESS:PORT`.
fn address(url: &str) -> Option<IpAddr> {
    let (host, _) = url.strip_prefix("https://")?.rsplit_once(':')?;
    host.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_that_cannot_be_asked_are_known_by_their_names() {
        let member = |name: &str, online| Member {
            name: name.to_owned(),
            address: [10, 0, 0, 1].into(),
            failure_domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            online,
        };
        let members = [member("up", true), member("down", false)];
        let whose = |name: &str, location: &str| {
            let instance = Instance {
                name: name.to_owned(),
                location: location.to_owned(),
                ..Instance::default()
            };
            whose(&instance, "mirror", &members)
        };
        assert_eq!(whose("mirror-2", "down"), Some(("mirror".to_owned(), 2)));
        assert_eq!(
            whose("mirror-front-1", "down"),
            Some(("front".to_owned(), 1))
        );
        assert_eq!(whose("mirror-2", "up"), None);
        assert_eq!(whose("mirrors-2", "down"), None);
        assert_eq!(whose("other", "down"), None);
    }

    #[test]
    fn a_members_address_is_in_its_url() {
        assert_eq!(address("https://10.0.0.7:8443"), "10.0.0.7".parse().ok());
        assert_eq!(address("https://[fd00::7]:8443"), "fd00::7".parse().ok());
        assert_eq!(address("https://name:8443"), None);
    }
}
