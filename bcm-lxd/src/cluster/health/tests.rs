//! Judgements about answers.

use super::*;

fn voter(name: &str, status: &str) -> ClusterMember {
    ClusterMember {
        server_name: name.to_owned(),
        status: status.to_owned(),
        roles: vec!["database".to_owned()],
        ..ClusterMember::default()
    }
}

fn answer(host: &str, cluster: Option<Cluster>) -> Answer {
    Answer {
        host: host.to_owned(),
        reachable: true,
        engine: Some((host.to_owned(), "5.0.2".to_owned())),
        error: cluster.is_none().then(|| "no answer".to_owned()),
        cluster,
    }
}

fn cluster(members: Vec<ClusterMember>) -> Option<Cluster> {
    Some(Cluster {
        members,
        pools: Vec::new(),
        networks: Vec::new(),
        instances: Vec::new(),
    })
}

#[test]
fn three_online_survive_one_loss() {
    let members = vec![
        voter("a", "Online"),
        voter("b", "Online"),
        voter("c", "Online"),
    ];
    let health = evaluate(vec![answer("a", cluster(members))]);
    assert!(health.healthy, "{:?}", health.problems);
    assert_eq!(health.survives_losses, Some(1));
}

#[test]
fn one_of_three_offline_is_degraded() {
    let members = vec![
        voter("a", "Online"),
        voter("b", "Online"),
        voter("c", "Offline"),
    ];
    let health = evaluate(vec![answer("a", cluster(members))]);
    assert!(!health.healthy && health.quorum);
    assert_eq!(health.survives_losses, Some(0));
    assert!(
        health.problems[0].starts_with("c is offline"),
        "{:?}",
        health.problems
    );
}

#[test]
fn a_machine_that_is_off_is_shown_as_its_member() {
    let mut members = vec![voter("a", "Online"), voter("b", "Offline")];
    members[1].url = "https://[fd00::2]:8443".to_owned();
    for host in ["b", "root@b", "root@b.lan:22", "fd00::2", "me@[fd00::2]:22"] {
        let off = Answer {
            reachable: false,
            engine: None,
            error: Some("no route".to_owned()),
            ..answer(host, None)
        };
        let health = evaluate(vec![answer("a", cluster(members.clone())), off]);
        assert_eq!(health.members.len(), 2, "{host}: {:?}", health.members);
        assert_eq!(health.members[1].host.as_deref(), Some(host));
        assert_eq!(health.members[1].reachable, Some(false));
    }
    let other = answer("10.0.0.9", None);
    let other = Answer {
        engine: None,
        ..other
    };
    let health = evaluate(vec![answer("a", cluster(members)), other]);
    assert_eq!(health.members.len(), 3, "{:?}", health.members);
}

#[test]
fn without_quorum_what_answers_is_shown() {
    let health = evaluate(vec![answer("a", None)]);
    assert!(!health.quorum && !health.healthy);
    assert_eq!(health.survives_losses, None);
    assert_eq!(health.members[0].reachable, Some(true));
}

#[test]
fn one_member_survives_nothing() {
    assert_eq!(losses_left(&[voter("a", "Online")]), 0);
}
