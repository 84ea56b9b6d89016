//! What members have to have for a stack. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::manifest::{Kind, Manifest, Volume};
use crate::place::{Placement, Replica};
use crate::plan::Found;
use crate::wanted::volume_name;

/// The processors that a member should have.
pub const CORES: u64 = 2;

/// The memory that a member should have, in bytes. What is sold as 4 GB has a little less.
pub const MEMORY: u64 = 3_700_000_000;

/// What is known of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its processors.
    pub cores: u64,
    /// Its memory, in bytes.
    pub memory: u64,
    /// Bytes that are left in the pool of the volumes.
    pub room: u64,
    /// TCP ports that somebody listens on; `None` where its machine could not be asked.
    pub taken: Option<BTreeSet<u16>>,
}

/// Something that a member lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "lacks", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lack {
    /// Processors.
    Cores {
        /// The member.
        member: String,
        /// Those that it has.
        has: u64,
    },
    /// Memory.
    Memory {
        /// The member.
        member: String,
        /// Bytes that it has.
        has: u64,
    },
    /// Room in its pool.
    Room {
        /// The member.
        member: String,
        /// Bytes that it has.
        has: u64,
        /// Bytes that the mirror will need.
        needs: u64,
    },
    /// A port.
    Port {
        /// The member.
        member: String,
        /// The port that somebody else has.
        port: u16,
    },
}

impl Lack {
    /// Whether the stack cannot even begin; what else is lacking makes it slow, or fails later.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Port { .. })
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cores { member, has } => {
                write!(f, "{member} has {has} processors; it should have {CORES}")
            }
            Self::Memory { member, has } => {
                let (has, needs) = (amount(*has), amount(4_000_000_000));
                write!(f, "{member} has {has} of memory; it should have {needs}")
            }
            Self::Room { member, has, needs } => write!(
                f,
                "{member} has {} left in its pool; what is mirrored needs about {}",
                amount(*has),
                amount(*needs)
            ),
            Self::Port { member, port } => {
                write!(f, "{member}: port {port} is taken by another program")
            }
        }
    }
}

/// `bytes` for people: `1.2 GB` or `340 MB`, of powers of 1,000.
#[must_use]
pub fn amount(bytes: u64) -> String {
    // Precise enough for people.
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let megabytes = bytes as f64 / 1e6;
    match bytes {
        ..950_000_000 => format!("{megabytes:.0} MB"),
        _ => format!("{:.1} GB", megabytes / 1e3),
    }
}

/// What is new of a mirror where a stack is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMirrors {
    /// The members that a replica which begins with nothing is made on.
    pub members: BTreeSet<String>,
    /// Whether the Hub is among what they will mirror.
    pub hub: bool,
    /// Whether the Bootstrap is.
    pub bootstrap: bool,
}

/// Which replicas of `placement` will fetch a whole mirror: those that are not there yet and have no volume
/// of an earlier one.
#[must_use]
pub fn new_mirrors(manifest: &Manifest, placement: &Placement, found: &Found) -> NewMirrors {
    let mut new = NewMirrors::default();
    for replica in &placement.replicas {
        let Some(kind) = manifest.kind(&replica.kind) else {
            continue;
        };
        if is_main(manifest, &replica.kind) && replica.online && begins_empty(kind, replica, found)
        {
            new.members.insert(replica.member.clone());
            new.hub |= runs(kind, &["mirror.service", "hub.service"]);
            new.bootstrap |= runs(kind, &["mirror.service", "bootstrap-sync.service"]);
        }
    }
    new
}

/// Whether the replica is not there yet, and nothing of an earlier one is.
fn begins_empty(kind: &Kind, replica: &Replica, found: &Found) -> bool {
    let there = |volume: &Volume| found.volumes.contains_key(&volume_name(replica, volume));
    let kept = !kind.volumes.is_empty() && kind.volumes.iter().all(there);
    !kept && !found.instances.contains_key(&replica.instance)
}

/// Whether instances of the kind run one of these units that BCM makes.
fn runs(kind: &Kind, units: &[&str]) -> bool {
    let mut made = kind.units.iter().filter_map(|unit| unit.made.as_deref());
    made.any(|made| units.contains(&made))
}

/// The bytes that a replica should have for `mirrored` bytes: a tenth more, for indices and what is on its way.
#[must_use]
pub fn room_for(mirrored: u64) -> u64 {
    mirrored.saturating_add(mirrored.div_ceil(10))
}

/// What members lack for the replicas of `placement` that are not there yet. `needs` are the bytes that a
/// replica of [`new_mirrors`] will hold, where that is known.
#[must_use]
pub fn check(
    manifest: &Manifest,
    placement: &Placement,
    found: &Found,
    hosts: &BTreeMap<String, Host>,
    needs: Option<u64>,
) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut seen = BTreeSet::new();
    let new =
        |replica: &&Replica| replica.online && !found.instances.contains_key(&replica.instance);
    for replica in placement.replicas.iter().filter(new) {
        let (Some(host), Some(kind)) = (hosts.get(&replica.member), manifest.kind(&replica.kind))
        else {
            continue;
        };
        let member = || replica.member.clone();
        if let Some(taken) = &host.taken {
            let ports = kind.ports.iter().map(|port| port.listen);
            lacks.extend(
                ports
                    .filter(|port| taken.contains(port))
                    .map(|port| Lack::Port {
                        member: member(),
                        port,
                    }),
            );
        }
        if !is_main(manifest, &replica.kind) || !seen.insert(&replica.member) {
            continue;
        }
        if host.cores < CORES {
            lacks.push(Lack::Cores {
                member: member(),
                has: host.cores,
            });
        }
        if host.memory < MEMORY {
            lacks.push(Lack::Memory {
                member: member(),
                has: host.memory,
            });
        }
        let needs = needs.filter(|_| begins_empty(kind, replica, found));
        if let Some(needs) = needs.filter(|needs| host.room < *needs) {
            lacks.push(Lack::Room {
                member: member(),
                has: host.room,
                needs,
            });
        }
    }
    lacks
}

/// Whether replicas of the kind hold a mirror, which is what the requirements are about.
fn is_main(manifest: &Manifest, kind: &str) -> bool {
    let makes_program = |kind: &crate::manifest::Kind| {
        let mut made = kind.files.iter().filter_map(|file| file.made.as_deref());
        made.any(|made| made == "bcm")
    };
    manifest.kind(kind).is_some_and(makes_program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::built_in;
    use crate::place::{Member, Scale, place};

    #[test]
    fn what_is_lacking_is_said_of_each_member_once() {
        let manifest = built_in("mirror").unwrap().unwrap();
        let member = Member {
            name: "node1".to_owned(),
            address: [10, 0, 0, 1].into(),
            failure_domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            online: true,
        };
        let placement = place(&manifest, &[member], &[], Scale::Cluster).unwrap();
        let host = Host {
            cores: 1,
            memory: 1_000_000_000,
            room: 5,
            taken: Some([22, 443].into()),
        };
        let hosts = [("node1".to_owned(), host)].into();
        let found = Found::default();
        let lacks = check(&manifest, &placement, &found, &hosts, Some(2_000_000_000));
        let said: Vec<String> = lacks.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "node1 has 1 processors; it should have 2",
                "node1 has 1.0 GB of memory; it should have 4.0 GB",
                "node1 has 0 MB left in its pool; what is mirrored needs about 2.0 GB",
                "node1: port 443 is taken by another program",
            ]
        );
        let plenty = Host {
            cores: 4,
            memory: 8_000_000_000,
            room: 1 << 40,
            taken: Some([22].into()),
        };
        let mut hosts = [("node1".to_owned(), plenty)].into();
        assert!(check(&manifest, &placement, &found, &hosts, Some(1)).is_empty());
        hosts.values_mut().for_each(|host| host.room = 5);
        let mirror = placement.of("mirror").next().unwrap();
        let kept = Found {
            volumes: [(format!("{}-data", mirror.instance), mirror.member.clone())].into(),
            ..Found::default()
        };
        assert!(check(&manifest, &placement, &kept, &hosts, Some(6)).is_empty());
        assert_eq!(
            check(&manifest, &placement, &found, &hosts, Some(6)).len(),
            1
        );
        assert!(check(&manifest, &placement, &found, &hosts, None).is_empty());
    }

    #[test]
    fn a_mirror_that_is_there_or_whose_volume_is_needs_no_room_any_more() {
        let on_three = |stack: &str| {
            let manifest = built_in(stack).unwrap().unwrap();
            let member = |n: u8| Member {
                name: format!("node{n}"),
                address: [10, 0, 0, n].into(),
                failure_domain: format!("rack{n}"),
                architecture: "x86_64".to_owned(),
                online: n != 3,
            };
            let members: Vec<Member> = (1..=3).map(member).collect();
            let placement = place(&manifest, &members, &[], Scale::Cluster).unwrap();
            (manifest, placement)
        };
        let (manifest, placement) = on_three("mirror");
        let mut found = Found::default();
        let new = new_mirrors(&manifest, &placement, &found);
        let on_two: BTreeSet<String> = ["node1", "node2"].map(str::to_owned).into();
        assert_eq!(new.members, on_two, "node3 waits");
        assert!(new.hub && new.bootstrap);
        let first = placement.of("mirror").next().unwrap();
        found
            .volumes
            .insert(format!("{}-data", first.instance), first.member.clone());
        let left = new_mirrors(&manifest, &placement, &found).members;
        assert!(left.len() == 1 && !left.contains(&first.member), "{left:?}");
        let second = placement.of("mirror").nth(1).unwrap();
        let instance = bcm_lxd::types::Instance::default();
        found.instances.insert(second.instance.clone(), instance);
        let none = new_mirrors(&manifest, &placement, &found);
        assert_eq!(none, NewMirrors::default());

        for (stack, parts) in [("hub", (true, false)), ("bootstrap", (false, true))] {
            let (manifest, placement) = on_three(stack);
            let new = new_mirrors(&manifest, &placement, &Found::default());
            assert_eq!((new.hub, new.bootstrap), parts, "{stack}");
        }
    }

    #[test]
    fn a_tenth_is_added() {
        assert_eq!(room_for(1_000), 1_100);
        assert_eq!(room_for(0), 0);
        assert_eq!(room_for(u64::MAX), u64::MAX);
    }
}
