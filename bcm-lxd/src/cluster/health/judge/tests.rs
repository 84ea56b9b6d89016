use super::*;

fn voter(name: &str, status: &str) -> ClusterMember {
    ClusterMember {
        server_name: name.to_owned(),
        status: status.to_owned(),
        roles: vec!["database".to_owned()],
        ..ClusterMember::default()
    }
}

fn three(third: &str) -> Vec<ClusterMember> {
    vec![
        voter("a", "Online"),
        voter("b", "Online"),
        voter("c", third),
    ]
}

fn answer(name: &str, members: Option<Vec<ClusterMember>>) -> Answer {
    Answer {
        host: format!("bcm@{name}"),
        reachable: true,
        name: members.is_some().then(|| name.to_owned()),
        version: Some("5.0.2".to_owned()),
        error: members.is_none().then(|| "no answer".to_owned()),
        cluster: members.map(|members| Cluster {
            members,
            ..Cluster::default()
        }),
    }
}

fn silent(host: &str) -> Answer {
    Answer::failed(host, false, "No route to host".to_owned())
}

#[test]
fn three_online_survive_one_loss() {
    let all = ["a", "b", "c"].map(|name| answer(name, Some(three("Online"))));
    let health = judge(all.into());
    assert!(health.healthy, "{:?}", health.problems);
    assert_eq!(health.survives_losses, Some(1));
}

#[test]
fn one_of_three_offline_is_degraded() {
    let health = judge(vec![
        answer("a", Some(three("Offline"))),
        answer("b", Some(three("Offline"))),
        silent("c"),
    ]);
    assert!(!health.healthy && health.quorum);
    assert_eq!(health.survives_losses, Some(0));
    assert_eq!(health.problems.len(), 1, "{:?}", health.problems);
    assert!(health.problems[0].starts_with("c is offline"));
}

#[test]
fn a_machine_without_power_is_its_member_before_the_cluster_knows() {
    for (host, url) in [
        ("c", ""),
        ("bcm@c.lab:22", ""),
        ("bcm@10.0.0.3", "https://10.0.0.3:8443"),
        ("me@[fd00::3]:22", "https://[fd00::3]:8443"),
        ("fd00::3", "https://[fd00::3]:8443"),
        ("another-name", ""),
    ] {
        let mut members = three("Online");
        members[2].url = url.to_owned();
        let health = judge(vec![
            answer("a", Some(members.clone())),
            answer("b", Some(members)),
            silent(host),
        ]);
        assert_eq!(health.members.len(), 3, "{host}: {:?}", health.members);
        let ill: Vec<_> = health.members.iter().filter(|m| !m.is_well()).collect();
        assert_eq!(ill.len(), 1, "{ill:?}");
        assert_eq!(ill[0].name, "c");
        assert_eq!(ill[0].host.as_deref(), Some(host));
        assert_eq!(health.survives_losses, Some(0));
        assert_eq!(health.problems.len(), 1, "{:?}", health.problems);
        assert!(!health.healthy);
    }
}

#[test]
fn a_machine_that_is_no_member_is_listed_apart() {
    let health = judge(vec![
        answer("a", Some(three("Online"))),
        answer("b", Some(three("Online"))),
        answer("c", Some(three("Online"))),
        silent("d"),
    ]);
    assert_eq!(health.members.len(), 4);
    assert_eq!(health.members[3].host.as_deref(), Some("d"));
    assert!(!health.healthy);
    assert_eq!(health.survives_losses, Some(1));
}

#[test]
fn without_quorum_what_answers_is_shown() {
    let health = judge(vec![answer("a", None), silent("b")]);
    assert!(!health.quorum && !health.healthy);
    assert_eq!(health.survives_losses, None);
    assert_eq!(health.members[0].reachable, Some(true));
    assert!(health.problems[1].starts_with("b: No route"));
}

#[test]
fn one_member_survives_nothing() {
    let health = judge(vec![answer("a", Some(vec![voter("a", "Online")]))]);
    assert_eq!(health.survives_losses, Some(0));
    assert!(health.healthy);
}

#[test]
fn pools_are_told_by_member() {
    let mut first = answer("a", Some(three("Online")));
    let cluster = first.cluster.as_mut().unwrap();
    cluster.pools.push(crate::types::StoragePool {
        entity: Entity {
            name: "bcm".to_owned(),
            status: "Pending".to_owned(),
            locations: vec!["a".to_owned(), "c".to_owned()],
            ..Entity::default()
        },
        ..crate::types::StoragePool::default()
    });
    let health = judge(vec![first]);
    assert_eq!(health.members[0].pools, ["bcm"]);
    assert!(health.members[1].pools.is_empty());
    assert_eq!(health.incomplete, ["storage pool bcm"]);
}

#[test]
fn a_member_of_another_cluster_is_named() {
    let alone = vec![voter("a", "Online")];
    let other = vec![voter("b", "Online"), voter("c", "Online")];
    let health = judge(vec![answer("a", Some(alone)), answer("b", Some(other))]);
    assert!(!health.healthy && health.quorum);
    assert_eq!(
        health.problems,
        ["bcm@b is no member of this cluster; it is b in another one"]
    );
}
