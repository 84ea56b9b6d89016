//! Plans for machines as they were found.

use super::*;
use crate::Flavour;
use crate::cluster::observe::Made;
use crate::host::{Address, EngineFacts, FACTS_SCRIPT, HostFacts, PackageState, SudoState};
use crate::types::{ClusterMember, Devices};

fn spec(hosts: &[&str]) -> ClusterSpec {
    ClusterSpec {
        members: hosts.iter().copied().map(MemberSpec::new).collect(),
        ..ClusterSpec::new("home")
    }
}

/// A fresh machine like Debian 12.
fn fresh(number: u8) -> ObservedHost {
    let output = format!(
        "@os\nID=debian\nPRETTY_NAME=\"Debian 12\"\n@uname\nx86_64\n6.1\n@hostname\nnode{number}\n\
         @machine-id\nid{number}\n@cpus\n2\n@memory\nMemTotal: 4000000 kB\n@disk-free\n50000000000\n\
         @addresses\n2: eth0 inet 10.0.0.{number}/24 scope global eth0\n@interfaces\neth0\n@systemd\nrunning\n\
         @sudo\npasswordless\n@packages\nlxd||5.0.2-5\nincus||\n@clock\n1763773000.0\n@end\n"
    );
    ObservedHost {
        facts: crate::host::parse_facts(&output).unwrap(),
        clock_ahead: 0.0,
        engine: None,
    }
}

fn observe(hosts: &[(&str, ObservedHost)]) -> Observed {
    Observed {
        hosts: hosts
            .iter()
            .map(|(host, found)| ((*host).to_owned(), found.clone()))
            .collect(),
    }
}

/// `found` as a member of the finished cluster `home` of the nodes `members`.
fn joined(mut found: ObservedHost, number: u8, members: &[u8]) -> ObservedHost {
    if let Some(lxd) = found.facts.engines.get_mut(&Flavour::Lxd) {
        lxd.package.installed = Some("5.0.2-5".to_owned());
    }
    found.facts.interfaces.push("bcmbr0".to_owned());
    found.engine = Some(EngineState {
        flavour: Flavour::Lxd,
        version: "5.0.2".to_owned(),
        api_extensions: 300,
        cluster_name: Some("home".to_owned()),
        member_name: Some(format!("node{number}")),
        members: members
            .iter()
            .map(|n| ClusterMember {
                server_name: format!("node{n}"),
                failure_domain: "default".to_owned(),
                ..ClusterMember::default()
            })
            .collect(),
        pools: [("bcm".to_owned(), Made::Whole)].into(),
        networks: [("bcmbr0".to_owned(), Made::Whole)].into(),
        projects: vec!["bcm".to_owned(), "default".to_owned()],
        profile_devices: Some(profile_devices(&spec(&["a"]))),
        instances: 0,
    });
    found
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    plan.steps
        .iter()
        .map(|step| match step {
            Step::Install { .. } => "install",
            Step::Bootstrap { .. } => "bootstrap",
            Step::Join { .. } => "join",
            Step::Member { .. } => "member",
            Step::Pool { .. } => "pool",
            Step::Network { .. } => "network",
            Step::Project { .. } => "project",
            Step::Profile { .. } => "profile",
        })
        .collect()
}

fn errors(spec: &ClusterSpec, observed: &Observed) -> Vec<String> {
    match plan(spec, observed) {
        Err(PlanError::Checks(findings)) => findings
            .into_iter()
            .filter(|f| f.severity == Severity::Error)
            .map(|f| f.what)
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_fresh_machines() {
    let observed = observe(&[("a", fresh(1)), ("b", fresh(2)), ("c", fresh(3))]);
    let (plan, findings) = plan(&spec(&["a", "b", "c"]), &observed).unwrap();
    assert_eq!(
        kinds(&plan),
        [
            "install",
            "install",
            "install",
            "bootstrap",
            "project",
            "join",
            "join",
            "pool",
            "network",
            "profile"
        ]
    );
    assert_eq!(plan.flavour, Flavour::Lxd);
    assert!(findings.is_empty(), "{findings:?}");
}

/// A fresh machine like Debian 13, which has both engines.
fn newer(number: u8) -> ObservedHost {
    let mut found = fresh(number);
    let candidates = [(Flavour::Lxd, "5.0.2+git1-1"), (Flavour::Incus, "6.0.4-2")];
    for (flavour, version) in candidates {
        let engine = found.facts.engines.entry(flavour).or_default();
        engine.package.candidate = Some(version.to_owned());
    }
    found
}

#[test]
fn the_engine_is_what_debian_goes_on_with_or_what_is_there() {
    let chosen = |hosts: &[(&str, ObservedHost)]| {
        let names: Vec<&str> = hosts.iter().map(|(name, _)| *name).collect();
        plan(&spec(&names), &observe(hosts)).unwrap().0.flavour
    };
    assert_eq!(chosen(&[("a", newer(1)), ("b", newer(2))]), Flavour::Incus);
    // One that cannot have it decides for all.
    assert_eq!(chosen(&[("a", newer(1)), ("b", fresh(2))]), Flavour::Lxd);
    let mut has_lxd = newer(1);
    has_lxd
        .facts
        .engines
        .get_mut(&Flavour::Lxd)
        .unwrap()
        .package
        .installed = Some("5.0.2+git1-1".to_owned());
    assert_eq!(chosen(&[("a", has_lxd)]), Flavour::Lxd);
    let mut ubuntu = newer(1);
    ubuntu.facts.os.id = "ubuntu".to_owned();
    ubuntu.facts.tools.push("snap".to_owned());
    assert_eq!(chosen(&[("a", ubuntu)]), Flavour::Lxd);
}

#[test]
fn a_finished_cluster_needs_nothing() {
    let observed = observe(&[
        ("a", joined(fresh(1), 1, &[1, 2, 3])),
        ("b", joined(fresh(2), 2, &[1, 2, 3])),
        ("c", joined(fresh(3), 3, &[1, 2, 3])),
    ]);
    let (plan, _) = plan(&spec(&["a", "b", "c"]), &observed).unwrap();
    assert_eq!(plan.steps, []);
}

#[test]
fn what_an_interrupted_run_left_is_finished() {
    let mut half = joined(fresh(1), 1, &[1]);
    let engine = half.engine.as_mut().unwrap();
    engine.pools.insert("bcm".to_owned(), Made::Half);
    engine.profile_devices = Some(Devices::new());
    let (plan, _) = plan(&spec(&["a"]), &observe(&[("a", half)])).unwrap();
    assert_eq!(kinds(&plan), ["pool", "profile"]);
}

#[test]
fn one_member_grows() {
    let observed = observe(&[
        ("a", joined(fresh(1), 1, &[1])),
        ("b", fresh(2)),
        ("c", fresh(3)),
    ]);
    let (plan, _) = plan(&spec(&["a", "b", "c"]), &observed).unwrap();
    assert_eq!(kinds(&plan), ["install", "install", "join", "join"]);
    assert!(matches!(&plan.steps[2], Step::Join { pools, .. } if pools.contains_key("bcm")));
}

#[test]
fn two_members_are_warned_of() {
    let observed = observe(&[("a", fresh(1)), ("b", fresh(2))]);
    let (_, findings) = plan(&spec(&["a", "b"]), &observed).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn what_would_go_wrong_is_found_before() {
    let spec = spec(&["a", "b"]);
    type Spoil = Box<dyn Fn(&mut ObservedHost)>;
    let cases: Vec<(&str, Spoil)> = vec![
        (
            "same machine",
            Box::new(|h| h.facts.machine_id = "id1".to_owned()),
        ),
        ("clocks differ", Box::new(|h| h.clock_ahead = 60.0)),
        ("sudo", Box::new(|h| h.facts.sudo = SudoState::Refused)),
        ("free in /var/lib", Box::new(|h| h.facts.disk_free = 1)),
        (
            "not supported",
            Box::new(|h| h.facts.os.id = "arch".to_owned()),
        ),
        (
            "systemd",
            Box::new(|h| h.facts.systemd = "offline".to_owned()),
        ),
        (
            "interface named bcmbr0",
            Box::new(|h| h.facts.interfaces.push("bcmbr0".to_owned())),
        ),
        (
            "versions of LXD differ",
            Box::new(|h| {
                h.facts.engines.insert(
                    Flavour::Lxd,
                    EngineFacts {
                        package: PackageState {
                            installed: Some("5.21.3".to_owned()),
                            candidate: None,
                        },
                        ..EngineFacts::default()
                    },
                );
            }),
        ),
        (
            "already in a cluster",
            Box::new(|h| {
                let mut other = joined(h.clone(), 2, &[2]);
                if let Some(engine) = &mut other.engine {
                    engine.cluster_name = None;
                }
                *h = other;
            }),
        ),
        (
            "same address",
            Box::new(|h| {
                h.facts.addresses = vec![Address {
                    interface: "eth0".to_owned(),
                    address: "10.0.0.1".parse().unwrap(),
                    prefix: 24,
                    scope: "global".to_owned(),
                }];
            }),
        ),
    ];
    for (expected, spoil) in cases {
        let mut second = fresh(2);
        spoil(&mut second);
        let found = errors(&spec, &observe(&[("a", fresh(1)), ("b", second)]));
        assert!(
            found.iter().any(|what| what.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn a_disk_in_use_is_not_taken() {
    let mut spec = spec(&["a"]);
    spec.storage.driver = StorageDriver::Btrfs;
    spec.storage.source = Some("/dev/sdb".to_owned());
    let missing = errors(&spec, &observe(&[("a", fresh(1))]));
    assert!(
        missing
            .iter()
            .any(|what| what.contains("there is no /dev/sdb")),
        "{missing:?}"
    );
}

#[test]
fn names_come_from_the_machines() {
    let mut observed = observe(&[("u@10.0.0.1:2222", fresh(1)), ("b", fresh(2))]);
    let facts: &mut HostFacts = &mut observed.hosts.get_mut("b").unwrap().facts;
    facts.hostname = "node1.example.test".to_owned();
    let result = plan(&spec(&["u@10.0.0.1:2222", "b"]), &observed);
    assert!(
        matches!(
            result,
            Err(PlanError::Spec(SpecError::Twice { what: "name", .. }))
        ),
        "{result:?}"
    );
    assert!(FACTS_SCRIPT.contains("hostname"));
}

#[test]
fn a_storage_driver_without_its_tools_is_named() {
    let mut wanted = spec(&["a"]);
    wanted.storage.driver = StorageDriver::Zfs;
    let errors_of = |wanted: &ClusterSpec, machine: &ObservedHost| {
        errors(wanted, &observe(&[("a", machine.clone())]))
    };
    // Debian's main component has no ZFS.
    let found = errors_of(&wanted, &fresh(1));
    assert!(found[0].contains("zfsutils-linux"), "{found:?}");
    wanted.storage.driver = StorageDriver::Btrfs;
    let mut machine = fresh(1);
    let candidate = PackageState {
        installed: None,
        candidate: Some("6.2-1".to_owned()),
    };
    machine
        .facts
        .packages
        .insert("btrfs-progs".to_owned(), candidate);
    // They come with the engine.
    assert!(plan(&wanted, &observe(&[("a", machine.clone())])).is_ok());
    // An engine that is there already does not bring them.
    if let Some(lxd) = machine.facts.engines.get_mut(&Flavour::Lxd) {
        lxd.package.installed = Some("5.0.2-5".to_owned());
    }
    let found = errors_of(&wanted, &machine);
    assert!(found[0].contains("installed without"), "{found:?}");
    machine.facts.tools.push("mkfs.btrfs".to_owned());
    assert!(plan(&wanted, &observe(&[("a", machine)])).is_ok());
}

#[test]
fn a_member_that_came_back_is_in_another_cluster_of_the_same_name() {
    let observed = observe(&[
        ("a", joined(fresh(1), 1, &[1])),
        ("b", joined(fresh(2), 2, &[1, 2, 3])),
    ]);
    let Err(PlanError::Checks(findings)) = plan(&spec(&["a", "b"]), &observed) else {
        panic!("it is planned");
    };
    let error = findings.iter().find(|f| f.severity == Severity::Error);
    let error = error.unwrap();
    assert_eq!(error.host.as_deref(), Some("b"));
    assert!(error.what.contains("node1, node2, node3"), "{error:?}");
    assert!(error.fix.contains("destroy --host"), "{error:?}");
}
