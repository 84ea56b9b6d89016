//! What a sync has to do. Pure functions of what is listed, what is here and what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bcm_core::deletion::{Grace, Guard};
use serde::Serialize;

use crate::kernel::KernelName;
use crate::local::{Local, LocalLink};
use crate::manifest::Manifest;
use crate::policy::Policy;
use crate::report::Reason;

/// A kernel to fetch, or to ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetch {
    /// Its name.
    pub name: KernelName,
    /// The time that upstream lists, in seconds since 1970.
    pub timestamp: i64,
    /// Why.
    pub reason: Reason,
}

/// The kernels of a list, compared with those that are here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kernels {
    pub(crate) fetch: Vec<Fetch>,
    pub(crate) unchanged: Vec<KernelName>,
    /// Those of the unchanged that upstream has published anew: a run mode is pinned to what is here.
    pub(crate) pinned: Vec<KernelName>,
}

/// Compares `listed` (with its times) with what is here.
pub(crate) fn kernels(
    listed: &BTreeMap<KernelName, i64>,
    manifest: &Manifest,
    local: &Local,
    policy: &Policy,
    recheck_after: Duration,
    now: i64,
) -> Kernels {
    let mut wanted = policy.choose(listed.iter().map(|(name, time)| (name, *time)), now);
    // What is here because a run mode leads to it follows its upstream, too.
    let linked = linked(manifest, local);
    wanted.extend(linked.into_iter().filter(|name| listed.contains_key(name)));
    let pinned: BTreeSet<&KernelName> = manifest
        .links
        .values()
        .filter(|link| link.pinned)
        .map(|link| &link.kernel)
        .collect();
    let recheck_after = i64::try_from(recheck_after.as_secs()).unwrap_or(i64::MAX);
    let mut kernels = Kernels::default();
    for name in wanted {
        let timestamp = listed[&name];
        let known = manifest.kernels.get(&name);
        let here = local.kernels.get(&name);
        let reason = match (known, here) {
            (None, _) | (_, None) => Some(Reason::New),
            (Some(known), Some(here))
                if (known.size, known.timestamp) != (here.size, here.modified.seconds) =>
            {
                Some(Reason::Damaged)
            }
            (Some(known), _) if known.timestamp != timestamp => Some(Reason::Republished),
            // A clock that was set back must not put it off for ever.
            (Some(known), _) if (now - known.checked).saturating_abs() >= recheck_after => {
                Some(Reason::Recheck)
            }
            _ => None,
        };
        // What is pinned is the content, not the name.
        let reason = match reason {
            Some(Reason::Republished | Reason::Recheck) if pinned.contains(&name) => {
                if reason == Some(Reason::Republished) {
                    kernels.pinned.push(name.clone());
                }
                None
            }
            reason => reason,
        };
        match reason {
            Some(reason) => kernels.fetch.push(Fetch {
                name,
                timestamp,
                reason,
            }),
            None => kernels.unchanged.push(name),
        }
    }
    // The newest first: it is the one that somebody waits for.
    kernels
        .fetch
        .sort_by(|a, b| b.timestamp.cmp(&a.timestamp).then(a.name.cmp(&b.name)));
    kernels
}

/// The kernels that a run mode leads to, here or upstream.
pub(crate) fn linked(manifest: &Manifest, local: &Local) -> BTreeSet<KernelName> {
    let noted = manifest.links.values().flat_map(|link| {
        let upstream = link.upstream.as_ref().map(|upstream| &upstream.kernel);
        [Some(&link.kernel), upstream]
    });
    let there = local.links.values().map(|link| match link {
        LocalLink::Kernel(name) => Some(name),
        LocalLink::File(_) => None,
    });
    noted.chain(there).flatten().cloned().collect()
}

/// What is not wanted any more.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Gone {
    pub(crate) deletions: Vec<KernelName>,
    pub(crate) tombstones: BTreeMap<KernelName, i64>,
    pub(crate) guard: Option<Guard>,
}

/// Decides on the kernels of `manifest` that are not `wanted`. `listed`: what upstream has.
pub(crate) fn gone(
    manifest: &Manifest,
    listed: &BTreeSet<KernelName>,
    wanted: &BTreeSet<KernelName>,
    grace: Grace,
    max_delete: f64,
) -> Gone {
    let unwanted: Vec<&KernelName> = manifest
        .kernels
        .keys()
        .filter(|name| !wanted.contains(*name))
        .collect();
    let held = manifest.kernels.values().filter(|k| k.listed).count() as u64;
    let missing = manifest
        .kernels
        .iter()
        .filter(|(name, kernel)| kernel.listed && !listed.contains(*name))
        .count() as u64;
    let since = |name: &KernelName| manifest.tombstones.get(name).copied();
    let guard = Guard::check(missing, held, max_delete);
    if guard.is_some() {
        let still = unwanted
            .into_iter()
            .filter_map(|name| Some((name.clone(), since(name)?)));
        return Gone {
            deletions: Vec::new(),
            tombstones: still.collect(),
            guard,
        };
    }
    let mut gone = Gone::default();
    for name in unwanted {
        let since = grace.since(since(name));
        match grace.is_over(since) {
            true => gone.deletions.push(name.clone()),
            false => drop(gone.tombstones.insert(name.clone(), since)),
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use bcm_core::digest::Sha256;
    use bcm_core::file_identity::{FileIdentity, Timestamp};
    use bcm_core::http::Validators;

    use crate::manifest::{Kernel, Link};
    use crate::run_mode::RunMode;

    const NOW: i64 = 100_000;
    const DAY: Duration = Duration::from_secs(86_400);

    fn name(text: &str) -> KernelName {
        KernelName::new(text).unwrap()
    }

    fn kernel(timestamp: i64) -> Kernel {
        Kernel {
            size: 3,
            sha256: Sha256::of(b"abc"),
            timestamp,
            listed: true,
            source: "s".to_owned(),
            validators: Validators::default(),
            checked: NOW,
        }
    }

    fn here(size: u64, seconds: i64) -> FileIdentity {
        let time = Timestamp {
            seconds,
            nanoseconds: 0,
        };
        FileIdentity {
            device: 1,
            inode: 1,
            size,
            modified: time,
            changed: time,
        }
    }

    fn held(names: &[&str]) -> (Manifest, Local) {
        let mut manifest = Manifest::default();
        let mut local = Local::default();
        for text in names {
            manifest.kernels.insert(name(text), kernel(50));
            local.kernels.insert(name(text), here(3, 50));
        }
        (manifest, local)
    }

    #[test]
    fn every_reason_to_fetch() {
        let (mut manifest, mut local) = held(&["same", "again", "damaged", "old", "lost"]);
        manifest.kernels.get_mut(&name("old")).unwrap().checked = NOW - 90_000;
        local.kernels.insert(name("damaged"), here(4, 50));
        local.kernels.remove(&name("lost"));
        let listed = [
            ("same", 50),
            ("again", 60),
            ("damaged", 50),
            ("old", 50),
            ("lost", 50),
        ];
        let mut listed: BTreeMap<_, _> = listed.map(|(n, t)| (name(n), t)).into();
        listed.insert(name("new"), 70);
        listed.insert(name("ancient"), -NOW);
        let policy = Policy {
            since: Some(Duration::from_secs(150_000)),
            ..Policy::default()
        };
        let plan = kernels(&listed, &manifest, &local, &policy, DAY, NOW);
        let fetch: Vec<_> = plan
            .fetch
            .iter()
            .map(|f| (f.name.as_str(), f.reason))
            .collect();
        assert_eq!(
            fetch,
            [
                ("new", Reason::New),
                ("again", Reason::Republished),
                ("damaged", Reason::Damaged),
                ("lost", Reason::New),
                ("old", Reason::Recheck),
            ]
        );
        assert_eq!(plan.unchanged, [name("same")]);
    }

    #[test]
    fn a_linked_kernel_is_never_too_old() {
        let (mut manifest, local) = held(&["ancient"]);
        let link = Link {
            kernel: name("ancient"),
            pinned: false,
            turned: 0,
            upstream: None,
        };
        manifest.links.insert(RunMode::new("prod").unwrap(), link);
        let listed = [(name("ancient"), 51)].into();
        let policy = Policy {
            since: Some(Duration::from_secs(1)),
            ..Policy::default()
        };
        let plan = kernels(&listed, &manifest, &local, &policy, DAY, NOW);
        assert_eq!(plan.fetch[0].reason, Reason::Republished);
        assert_eq!(linked(&manifest, &local), [name("ancient")].into());
    }

    #[test]
    fn deletions_wait_and_an_empty_upstream_deletes_nothing() {
        let (mut manifest, _) = held(&["a", "b", "c", "d"]);
        let grace = |now| Grace {
            delete_after: Some(DAY),
            now,
        };
        let all: BTreeSet<_> = manifest.kernels.keys().cloned().collect();
        let most: BTreeSet<_> = all.iter().skip(1).cloned().collect();
        let first = gone(&manifest, &most, &most, grace(NOW), 0.2);
        assert_eq!(first.tombstones, [(name("a"), NOW)].into());
        assert_eq!((first.deletions.len(), first.guard.clone()), (0, None));
        manifest.tombstones = first.tombstones;
        let later = gone(&manifest, &most, &most, grace(NOW + 86_400), 0.2);
        assert_eq!(later.deletions, [name("a")]);
        // A clock that was wrong does not keep it for ever.
        let earlier = gone(&manifest, &most, &most, grace(NOW - 9000), 0.2);
        assert_eq!(earlier.tombstones, [(name("a"), NOW - 9000)].into());
        let back = gone(&manifest, &all, &all, grace(NOW + 86_400), 0.2);
        assert_eq!(back, Gone::default());
        let none = BTreeSet::new();
        let empty = gone(&manifest, &none, &none, grace(NOW + 86_400), 0.2);
        assert_eq!((empty.deletions.len(), empty.tombstones.len()), (0, 1));
        assert_eq!(empty.guard.unwrap().missing, 4);
        // A narrower policy is the operator's will, not an accident upstream.
        let narrower = gone(&manifest, &all, &none, grace(NOW + 86_400), 0.2);
        assert_eq!((narrower.guard, narrower.tombstones.len()), (None, 3));
    }
}
