//! From what is there to what is wanted. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bcm_lxd::types::Instance;
use serde::{Deserialize, Serialize};

use crate::wanted::{APPLIED_KEY, Wanted, WantedFile};

/// What was brought into an instance: kept in its own configuration, so that whoever comes next sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The files' digests by their paths.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The packages.
    #[serde(default)]
    pub packages: BTreeSet<String>,
    /// The units that are started.
    #[serde(default)]
    pub units: BTreeSet<String>,
    /// The paths of files that were about to be brought: whoever did that was cut off, or still does.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub begun: BTreeSet<String>,
}

impl Applied {
    /// What `instance` says of itself. Nothing, where it does not say it in a way that is understood:
    /// then all of it is brought again.
    #[must_use]
    pub fn of(instance: &Instance) -> Self {
        let text = instance.config.get(APPLIED_KEY);
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// What is said once all of `wanted` is there.
    #[must_use]
    pub fn all_of(wanted: &Wanted) -> Self {
        let enabled = wanted.units.iter().filter(|unit| unit.enable);
        Self {
            files: wanted
                .files
                .iter()
                .map(|file| (file.path.clone(), file.digest.clone()))
                .collect(),
            packages: wanted.packages.iter().cloned().collect(),
            units: enabled.map(|unit| unit.name.clone()).collect(),
            begun: BTreeSet::new(),
        }
    }

    /// What is said while what differs from `wanted` is brought.
    #[must_use]
    pub fn beginning(&self, wanted: &Wanted) -> Self {
        let differing = self.differing(wanted).map(|file| file.path.clone());
        Self {
            begun: differing.collect(),
            ..self.clone()
        }
    }

    /// The same, once what was begun was taken back.
    #[must_use]
    pub fn undisturbed(&self) -> Self {
        Self {
            begun: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// `wanted`, with no units but those that were started before.
    #[must_use]
    pub fn started(&self, wanted: &Wanted) -> Wanted {
        let mut before = wanted.clone();
        before.units.retain(|unit| self.units.contains(&unit.name));
        before
    }

    /// The files that are not there as they are wanted.
    pub fn differing<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a WantedFile> {
        let files = wanted.files.iter();
        files.filter(|file| {
            self.files.get(&file.path) != Some(&file.digest) || self.begun.contains(&file.path)
        })
    }

    /// Whether nothing was ever brought.
    #[must_use]
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// What was found in the cluster.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The stack's instances, by name.
    pub instances: BTreeMap<String, Instance>,
    /// The stack's volumes, each with the member that it is on; that is empty where the pool is on none.
    pub volumes: BTreeMap<String, String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
#[non_exhaustive]
pub enum Step {
    /// Makes a volume.
    Volume {
        /// Its name.
        name: String,
        /// The member that it is on.
        member: String,
    },
    /// Makes an instance.
    Create {
        /// Its name.
        instance: String,
        /// The member that it is on.
        member: String,
    },
    /// Gives an instance other keys or devices.
    Adjust {
        /// Its name.
        instance: String,
        /// Which.
        changes: Vec<String>,
    },
    /// Starts an instance, and waits until it has booted.
    Start {
        /// Its name.
        instance: String,
    },
    /// Brings packages, files and units into an instance, restarts what changed, and waits until it is
    /// well. Taken back where it does not get well.
    Deliver {
        /// Its name.
        instance: String,
        /// Which.
        changes: Vec<String>,
    },
}

impl Step {
    /// The instance that it is about, or the one whose volume it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Volume { name, .. } => name,
            Self::Create { instance, .. }
            | Self::Adjust { instance, .. }
            | Self::Start { instance }
            | Self::Deliver { instance, .. } => instance,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume { name, member } => write!(f, "volume {name} on {member}"),
            Self::Create { instance, member } => write!(f, "instance {instance} on {member}"),
            Self::Adjust { instance, changes } => {
                write!(f, "change {instance}: {}", changes.join(", "))
            }
            Self::Start { instance } => write!(f, "start {instance}"),
            Self::Deliver { instance, changes } if changes.len() > 4 => {
                let (first, rest) = changes.split_at(3);
                let rest = rest.len();
                write!(
                    f,
                    "deliver to {instance}: {} and {rest} more",
                    first.join(", ")
                )
            }
            Self::Deliver { instance, changes } => {
                write!(f, "deliver to {instance}: {}", changes.join(", "))
            }
        }
    }
}

/// What has to be done, in order. An empty plan changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Instances on members that do not answer, for which nothing can be done now.
    pub waiting: Vec<String>,
}

/// Makes the plan: a replica after the other, so that one at a time is away.
#[must_use]
pub fn plan(wanted: &[Wanted], found: &Found) -> Plan {
    let mut plan = Plan::default();
    for wanted in wanted {
        let replica = &wanted.replica;
        let name = &replica.instance;
        let there = found.instances.get(name);
        if !replica.online {
            plan.waiting.push(name.clone());
            continue;
        }
        for volume in &wanted.volumes {
            if !found.volumes.contains_key(&volume.name) {
                plan.steps.push(Step::Volume {
                    name: volume.name.clone(),
                    member: replica.member.clone(),
                });
            }
        }
        let (applied, running) = match there {
            None => {
                plan.steps.push(Step::Create {
                    instance: name.clone(),
                    member: replica.member.clone(),
                });
                (Applied::default(), false)
            }
            Some(instance) => {
                let changes = adjustments(wanted, instance);
                if !changes.is_empty() {
                    plan.steps.push(Step::Adjust {
                        instance: name.clone(),
                        changes,
                    });
                }
                (Applied::of(instance), instance.status == "Running")
            }
        };
        if !running {
            plan.steps.push(Step::Start {
                instance: name.clone(),
            });
        }
        let changes = deliveries(wanted, &applied);
        if !changes.is_empty() {
            plan.steps.push(Step::Deliver {
                instance: name.clone(),
                changes,
            });
        }
    }
    plan
}

/// The keys and devices of `instance` that are not as wanted.
fn adjustments(wanted: &Wanted, instance: &Instance) -> Vec<String> {
    let mut changes = Vec::new();
    for (key, value) in &wanted.config {
        if instance.config.get(key) != Some(value) {
            changes.push(key.clone());
        }
    }
    for (name, device) in &wanted.devices {
        if instance.devices.get(name) != Some(device) {
            changes.push(name.clone());
        }
    }
    let gone = instance.devices.keys().filter(|name| {
        let ours = name.starts_with("port-") || name.starts_with("volume-");
        ours && !wanted.devices.contains_key(*name)
    });
    changes.extend(gone.map(|name| format!("no {name}")));
    changes
}

fn deliveries(wanted: &Wanted, applied: &Applied) -> Vec<String> {
    let packages = wanted.packages.iter();
    let mut changes: Vec<String> = packages
        .filter(|package| !applied.packages.contains(*package))
        .cloned()
        .collect();
    changes.extend(applied.differing(wanted).map(|file| file.path.clone()));
    let units = wanted.units.iter().filter(|unit| unit.enable);
    changes.extend(
        units
            .filter(|unit| !applied.units.contains(&unit.name))
            .map(|unit| unit.name.clone()),
    );
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::place::{Member, Scale, place};
    use crate::wanted::wanted;

    fn two_wanted(text: &str) -> Vec<Wanted> {
        let manifest = format!(
            "about = \"\"\n[[instance]]\nname = \"web\"\npackages = [\"nginx-light\"]\n\
             [[instance.volume]]\nname = \"data\"\npath = \"/srv\"\n\
             [[instance.file]]\npath = \"/srv/page\"\ncontent = \"{text}\"\n\
             [[instance.unit]]\nname = \"nginx.service\"\n\
             [[instance.port]]\nlisten = 8088\nconnect = 80\n"
        );
        let manifest = Manifest::parse("app", &manifest).unwrap();
        let member = |n: u8| Member {
            name: format!("node{n}"),
            address: [10, 0, 0, n].into(),
            failure_domain: "default".to_owned(),
            architecture: "x86_64".to_owned(),
            online: n != 3,
        };
        let members: Vec<Member> = (1..=2).map(member).collect();
        let placement = place(&manifest, &members, &[], Scale::Cluster).unwrap();
        wanted(&manifest, &placement, None, "pool", "[::]").unwrap()
    }

    /// As if `wanted` had been applied.
    fn found(wanted: &[Wanted]) -> Found {
        let instance = |wanted: &Wanted| {
            let mut config = wanted.config.clone();
            let applied = serde_json::to_string(&Applied::all_of(wanted)).unwrap();
            config.insert(APPLIED_KEY.to_owned(), applied);
            let instance = Instance {
                name: wanted.replica.instance.clone(),
                status: "Running".to_owned(),
                config,
                devices: wanted.devices.clone(),
                ..Instance::default()
            };
            (instance.name.clone(), instance)
        };
        Found {
            instances: wanted.iter().map(instance).collect(),
            volumes: wanted
                .iter()
                .flat_map(|w| {
                    w.volumes
                        .iter()
                        .map(|v| (v.name.clone(), w.replica.member.clone()))
                })
                .collect(),
        }
    }

    fn steps(wanted: &[Wanted], found: &Found) -> Vec<String> {
        plan(wanted, found)
            .steps
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn from_nothing_each_replica_is_made_before_the_next() {
        let wanted = two_wanted("a @MEMBER@");
        assert_eq!(
            steps(&wanted, &Found::default())[..4],
            [
                "volume app-web-1-data on node1",
                "instance app-web-1 on node1",
                "start app-web-1",
                "deliver to app-web-1: nginx-light, /srv/page, nginx.service",
            ]
        );
        assert_eq!(wanted[1].files[0].content, "a node2");
    }

    #[test]
    fn what_is_as_wanted_is_left_alone() {
        let wanted = two_wanted("a");
        assert_eq!(steps(&wanted, &found(&wanted)), Vec::<String>::new());
    }

    #[test]
    fn only_what_differs_is_changed() {
        let old = two_wanted("a");
        let mut there = found(&old);
        let first = there.instances.get_mut("app-web-1").unwrap();
        first.status = "Stopped".to_owned();
        first
            .devices
            .insert("port-99".to_owned(), Default::default());
        first
            .devices
            .get_mut("port-8088")
            .unwrap()
            .insert("listen".to_owned(), "x".to_owned());
        assert_eq!(
            steps(&two_wanted("b"), &there),
            [
                "change app-web-1: port-8088, no port-99",
                "start app-web-1",
                "deliver to app-web-1: /srv/page",
                "deliver to app-web-2: /srv/page",
            ]
        );
    }

    #[test]
    fn what_was_begun_is_brought_again_whatever_is_wanted_by_then() {
        let (old, new) = (two_wanted("a"), two_wanted("b"));
        let applied = Applied::all_of(&old[0]).beginning(&new[0]);
        assert!(!applied.is_new());
        let differing: Vec<&str> = applied
            .differing(&old[0])
            .map(|f| f.path.as_str())
            .collect();
        assert_eq!(differing, ["/srv/page"]);
        assert_eq!(applied.undisturbed(), Applied::all_of(&old[0]));
        let mut more = old[0].clone();
        more.units.push(crate::wanted::WantedUnit {
            name: "new.service".to_owned(),
            enable: true,
        });
        assert_eq!(applied.started(&more).units, old[0].units);
    }

    #[test]
    fn what_does_not_answer_waits() {
        let mut wanted = two_wanted("a");
        wanted[0].replica.online = false;
        let plan = plan(&wanted, &found(&two_wanted("b")));
        assert_eq!(plan.waiting, ["app-web-1"]);
        assert_eq!(plan.steps.len(), 1);
    }
}
