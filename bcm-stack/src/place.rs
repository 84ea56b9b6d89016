//! Which member has which replica. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::manifest::{Kind, Manifest, Replicas, Spread};

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The address that others reach it by.
    pub address: IpAddr,
    /// Its failure domain; `default` where nobody gave it one.
    pub failure_domain: String,
    /// Its processor architecture, such as `x86_64`.
    pub architecture: String,
    /// Whether it can be given work.
    pub online: bool,
}

/// One instance of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// The instance's name: `STACK-KIND-NUMBER`.
    pub instance: String,
    /// Its kind.
    pub kind: String,
    /// Its number within the kind, from 1.
    pub number: u32,
    /// The member that it is on.
    pub member: String,
    /// That member's address.
    pub address: IpAddr,
    /// Whether the member answers.
    pub online: bool,
}

/// An instance that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its kind.
    pub kind: String,
    /// Its number.
    pub number: u32,
    /// The member that it is on.
    pub member: String,
}

/// How far a stack reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Over the cluster, as its manifest says.
    #[default]
    Cluster,
    /// One replica of each kind, all on one member.
    Standalone,
}

/// Where everything is, or goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// All replicas that there are to be, kinds in the order of their needs.
    pub replicas: Vec<Replica>,
    /// Instances that there are more of than wanted, by name.
    pub surplus: Vec<String>,
}

/// There is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Nobody is there.
    #[error("no member of the cluster is online")]
    NoMember,
    /// More are wanted than there are members.
    #[error("{kind}: {wanted} replicas are wanted, and {members} members are online")]
    TooFew {
        /// The kind.
        kind: String,
        /// So many are wanted.
        wanted: usize,
        /// So many members there are.
        members: usize,
    },
}

impl Placement {
    /// The replicas of a kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Replica> {
        self.replicas
            .iter()
            .filter(move |replica| replica.kind == kind)
    }
}

/// The name of a replica's instance.
#[must_use]
pub fn instance_name(stack: &str, kind: &str, number: u32) -> String {
    match stack == kind {
        true => format!("{stack}-{number}"),
        false => format!("{stack}-{kind}-{number}"),
    }
}

/// Finds a place for every replica. Those that are there stay, also on members that do not answer:
/// their data is there, and they come back.
///
/// # Errors
/// There are too few members.
pub fn place(
    manifest: &Manifest,
    members: &[Member],
    existing: &[Existing],
    scale: Scale,
) -> Result<Placement, PlaceError> {
    let mut placement = Placement::default();
    if members.iter().all(|member| !member.online) {
        return Err(PlaceError::NoMember);
    }
    let domains = Domains::new(members);
    let alone = match scale {
        Scale::Cluster => None,
        Scale::Standalone => only_member(members, existing),
    };
    for kind in manifest.in_order() {
        let mut there: Vec<&Existing> = existing
            .iter()
            .filter(|e| e.kind == kind.name && members.iter().any(|m| m.name == e.member))
            .collect();
        // The first has what others have from it, so it is the last to be given up.
        there.sort_by_key(|e| e.number);
        let candidates: Vec<&Member> = members
            .iter()
            .filter(|member| alone.is_none_or(|alone| alone.name == member.name))
            .collect();
        let wanted = wanted(kind, &candidates, &domains, &there, scale);
        let kept = there.len().min(wanted);
        let (kept, surplus) = there.split_at(kept);
        let name = |e: &&Existing| instance_name(&manifest.name, &kind.name, e.number);
        placement.surplus.extend(surplus.iter().map(name));
        let mut taken: Vec<(u32, &str)> =
            kept.iter().map(|e| (e.number, e.member.as_str())).collect();
        while taken.len() < wanted {
            let spread = (kind.replicas != Replicas::By(Spread::Members)).then_some(&domains);
            let Some(member) = next_member(&candidates, spread, &taken) else {
                let online = candidates.iter().filter(|m| m.online).count();
                // A kind that is on every member waits for those that do not answer.
                if kind.replicas == Replicas::By(Spread::Members) || !taken.is_empty() {
                    break;
                }
                return Err(PlaceError::TooFew {
                    kind: kind.name.clone(),
                    wanted,
                    members: online,
                });
            };
            taken.push((free_number(&taken), member.name.as_str()));
        }
        if let Replicas::Count(count) = kind.replicas
            && scale == Scale::Cluster
            && taken.len() < count
        {
            return Err(PlaceError::TooFew {
                kind: kind.name.clone(),
                wanted: count,
                members: candidates.iter().filter(|m| m.online).count(),
            });
        }
        taken.sort_unstable();
        for (number, member) in taken {
            let Some(member) = members.iter().find(|m| m.name == member) else {
                continue;
            };
            placement.replicas.push(Replica {
                instance: instance_name(&manifest.name, &kind.name, number),
                kind: kind.name.clone(),
                number,
                member: member.name.clone(),
                address: member.address,
                online: member.online,
            });
        }
    }
    let unknown = existing.iter().filter(|e| manifest.kind(&e.kind).is_none());
    let name = |e: &Existing| instance_name(&manifest.name, &e.kind, e.number);
    placement.surplus.extend(unknown.map(name));
    Ok(placement)
}

/// Adds the replicas that are gone and left volumes to `existing`: their data is where it is. `volumes` are the
/// stack's, each with its member.
#[must_use]
pub fn with_what_left_volumes(
    manifest: &Manifest,
    existing: &[Existing],
    volumes: &BTreeMap<String, String>,
) -> Vec<Existing> {
    let mut all = existing.to_vec();
    for (volume, member) in volumes.iter().filter(|(_, member)| !member.is_empty()) {
        for kind in &manifest.instances {
            let named = kind.volumes.iter().map(|named| &named.name);
            let numbers = named.filter_map(|named| {
                let instance = volume.strip_suffix(named)?.strip_suffix('-')?;
                let (_, number) = instance.rsplit_once('-')?;
                let number = number.parse().ok()?;
                (instance_name(&manifest.name, &kind.name, number) == instance).then_some(number)
            });
            for number in numbers {
                if all
                    .iter()
                    .all(|e| e.kind != kind.name || e.number != number)
                {
                    all.push(Existing {
                        kind: kind.name.clone(),
                        number,
                        member: member.clone(),
                    });
                }
            }
        }
    }
    all
}

/// The failure domains of members. Where nobody gave any member one, each is a domain of its own.
struct Domains<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Domains<'a> {
    fn new(members: &'a [Member]) -> Self {
        let nowhere = members.iter().all(|m| m.failure_domain == "default");
        let domain = |m: &'a Member| match nowhere {
            true => (m.name.as_str(), m.name.as_str()),
            false => (m.name.as_str(), m.failure_domain.as_str()),
        };
        Self(members.iter().map(domain).collect())
    }

    fn of(&self, member: &str) -> &str {
        self.0.get(member).copied().unwrap_or_default()
    }
}

fn wanted(
    kind: &Kind,
    members: &[&Member],
    domains: &Domains<'_>,
    there: &[&Existing],
    scale: Scale,
) -> usize {
    // A domain that does not answer counts as long as there is a replica in it, which comes back.
    let holds = |member: &Member| there.iter().any(|e| e.member == member.name);
    let counted = || members.iter().filter(|m| m.online || holds(m));
    match (scale, kind.replicas) {
        (Scale::Standalone, _) => 1,
        (_, Replicas::Count(count)) => count,
        (_, Replicas::By(Spread::Members)) => members.len(),
        (_, Replicas::By(Spread::Domains) | Replicas::Default) => {
            let domains: BTreeSet<&str> = counted().map(|m| domains.of(&m.name)).collect();
            domains.len().min(kind.at_most)
        }
    }
}

/// The one with everything on it: where most of it is already, else the first that is online.
fn only_member<'a>(members: &'a [Member], existing: &[Existing]) -> Option<&'a Member> {
    let count = |m: &&Member| existing.iter().filter(|e| e.member == m.name).count();
    let most = members
        .iter()
        .rev()
        .max_by_key(count)
        .filter(|m| count(m) > 0);
    most.or_else(|| members.iter().find(|m| m.online))
}

/// An online member without one of the kind; where they are spread over `domains`, in one with as few as
/// there are.
fn next_member<'a>(
    members: &[&'a Member],
    domains: Option<&Domains<'_>>,
    taken: &[(u32, &str)],
) -> Option<&'a Member> {
    let load = |member: &&&Member| {
        let Some(domains) = domains else { return 0 };
        let domain = domains.of(&member.name);
        taken
            .iter()
            .filter(|(_, other)| domains.of(other) == domain)
            .count()
    };
    members
        .iter()
        .filter(|m| m.online && taken.iter().all(|(_, other)| *other != m.name))
        .min_by_key(load)
        .copied()
}

fn free_number(taken: &[(u32, &str)]) -> u32 {
    let free = |number: &u32| taken.iter().all(|(other, _)| other != number);
    (1..).find(free).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(domains: &[(&str, bool)]) -> Vec<Member> {
        let member = |(index, (domain, online)): (usize, &(&str, bool))| Member {
            name: format!("node{}", index + 1),
            address: format!("10.0.0.{}", index + 1).parse().unwrap(),
            failure_domain: (*domain).to_owned(),
            architecture: "x86_64".to_owned(),
            online: *online,
        };
        domains.iter().enumerate().map(member).collect()
    }

    fn manifest(replicas: &str) -> Manifest {
        let text = format!(
            "about = \"\"\n[[instance]]\nname = \"web\"\n{replicas}\n[[instance]]\nname = \"front\"\nreplicas = \"members\"\nneeds = [\"web\"]"
        );
        Manifest::parse("app", &text).unwrap()
    }

    fn places(
        manifest: &Manifest,
        members: &[Member],
        existing: &[Existing],
        scale: Scale,
    ) -> Vec<String> {
        let placement = place(manifest, members, existing, scale).unwrap();
        let one = |r: &Replica| format!("{}@{}", r.instance, r.member);
        placement.replicas.iter().map(one).collect()
    }

    #[test]
    fn one_in_each_domain_and_what_is_in_front_on_every_member() {
        let four = members(&[("a", true), ("a", true), ("b", true), ("c", false)]);
        assert_eq!(
            places(&manifest(""), &four, &[], Scale::Cluster),
            [
                "app-web-1@node1",
                "app-web-2@node3",
                "app-front-1@node1",
                "app-front-2@node2",
                "app-front-3@node3"
            ]
        );
    }

    #[test]
    fn without_domains_every_member_is_one() {
        let five = members(&[("default", true); 5]);
        let web: Vec<String> = places(&manifest(""), &five, &[], Scale::Cluster);
        assert_eq!(
            web[..3],
            ["app-web-1@node1", "app-web-2@node2", "app-web-3@node3"]
        );
        assert_eq!(web.len(), 3 + 5);
    }

    #[test]
    fn what_is_there_stays_also_on_a_member_that_is_gone_for_now() {
        let three = members(&[("default", true), ("default", false), ("default", true)]);
        let existing =
            [(1, "node3"), (2, "node2"), (3, "node9")].map(|(number, member)| Existing {
                kind: "web".to_owned(),
                number,
                member: member.to_owned(),
            });
        let all = place(&manifest(""), &three, &existing, Scale::Cluster).unwrap();
        let web: Vec<(u32, &str, bool)> = all
            .of("web")
            .map(|r| (r.number, r.member.as_str(), r.online))
            .collect();
        assert_eq!(
            web,
            [(1, "node3", true), (2, "node2", false), (3, "node1", true)]
        );
        assert_eq!(all.surplus, [""; 0]);
    }

    #[test]
    fn the_highest_numbers_and_kinds_that_are_no_more_are_given_up() {
        let three = members(&[("default", true); 3]);
        let existing = [
            ("web", 2, "node1"),
            ("web", 1, "node2"),
            ("old", 1, "node3"),
        ];
        let existing = existing.map(|(kind, number, member)| Existing {
            kind: kind.to_owned(),
            number,
            member: member.to_owned(),
        });
        let manifest = manifest("replicas = 1");
        let all = place(&manifest, &three, &existing, Scale::Cluster).unwrap();
        let web: Vec<&str> = all.of("web").map(|r| r.member.as_str()).collect();
        assert_eq!(web, ["node2"]);
        assert_eq!(all.surplus, ["app-web-2", "app-old-1"]);
    }

    #[test]
    fn a_replica_goes_where_its_volume_is() {
        let three = members(&[("default", true); 3]);
        let manifest =
            manifest("replicas = 2\n[[instance.volume]]\nname = \"data\"\npath = \"/d\"");
        let volumes = [
            ("app-web-1-data", "node3"),
            ("app-web-2-data", "node1"),
            ("app-web-x-data", "node1"),
            ("app-other-1-data", "node1"),
        ];
        let volumes = volumes.map(|(name, member)| (name.to_owned(), member.to_owned()));
        let there = Existing {
            kind: "web".to_owned(),
            number: 2,
            member: "node2".to_owned(),
        };
        let existing = with_what_left_volumes(&manifest, &[there], &volumes.into());
        let all = place(&manifest, &three, &existing, Scale::Cluster).unwrap();
        let web: Vec<&str> = all.of("web").map(|r| r.member.as_str()).collect();
        assert_eq!(web, ["node3", "node2"]);
    }

    #[test]
    fn one_of_each_stands_alone_on_one_member() {
        let three = members(&[("default", true); 3]);
        assert_eq!(
            places(&manifest("replicas = 2"), &three, &[], Scale::Standalone),
            ["app-web-1@node1", "app-front-1@node1"]
        );
    }

    #[test]
    fn more_than_there_are_members_is_refused() {
        let two = members(&[("default", true), ("default", false)]);
        let error = place(&manifest("replicas = 2"), &two, &[], Scale::Cluster).unwrap_err();
        assert_eq!(
            error.to_string(),
            "web: 2 replicas are wanted, and 1 members are online"
        );
        let none = members(&[("default", false)]);
        assert_eq!(
            place(&manifest(""), &none, &[], Scale::Cluster),
            Err(PlaceError::NoMember)
        );
    }
}
