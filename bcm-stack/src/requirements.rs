//! What members have to have for a stack. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::manifest::Manifest;
use crate::place::{Placement, Replica};
use crate::plan::Found;

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
                let (has, needs) = (gigabytes(*has), gigabytes(4_000_000_000));
                write!(f, "{member} has {has} of memory; it should have {needs}")
            }
            Self::Room { member, has, needs } => write!(
                f,
                "{member} has {} left in its pool; what is mirrored needs about {}",
                gigabytes(*has),
                gigabytes(*needs)
            ),
            Self::Port { member, port } => {
                write!(f, "{member}: port {port} is taken by another program")
            }
        }
    }
}

fn gigabytes(bytes: u64) -> String {
    // Precise enough for people.
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let gigabytes = bytes as f64 / 1e9;
    format!("{gigabytes:.1} GB")
}

/// What members lack for the replicas of `placement` that are not there yet. `needs` are the bytes that a
/// replica with volumes will hold, where that is known.
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
                "node1 has 0.0 GB left in its pool; what is mirrored needs about 2.0 GB",
                "node1: port 443 is taken by another program",
            ]
        );
        let plenty = Host {
            cores: 4,
            memory: 8_000_000_000,
            room: 1 << 40,
            taken: Some([22].into()),
        };
        let hosts = [("node1".to_owned(), plenty)].into();
        assert!(check(&manifest, &placement, &found, &hosts, Some(1)).is_empty());
    }
}
