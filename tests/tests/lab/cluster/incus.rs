//! The same with Incus: made, used, broken, recovered and taken away.

use std::{process::Command, time::Duration};

use bcm_lxd::Flavour;
use bcm_tests::{
    bcm,
    lab::{LabOptions, Machine, Release},
};
use libtest_mimic::Failed;

use super::bench::{Bench, listed, online};
use crate::{Outcome, client, image, operator, shared::options};

const THREE: [&str; 3] = ["node1", "node2", "node3"];

const CREATE: [&str; 7] = [
    "create", "--host", "node1", "--host", "node2", "--host", "node3",
];

/// Show: three machines of trixie, the engine not named; an instance starts on each; two go, and
/// what the survivor holds is brought back; nothing of it is left.
pub(super) fn three_members() -> Outcome {
    let bench = Bench::of(&LabOptions {
        release: Release::Trixie,
        ..options()
    })?;
    let made = bench.run(&[&CREATE[..], &["--output", "json"]].concat());
    let answer = made.assert_code(0).json();
    assert_eq!(answer["engine"], "incus", "{answer}");
    assert_eq!(answer["survives_losses"], 1, "{answer}");
    let again = bench.run(&CREATE).assert_code(0);
    assert!(again.stdout.contains(": 0 changes; healthy"), "{again}");
    let one = bench.machine(1)?;
    assert_eq!(members(&one)?, online(&THREE));
    used(&bench, &one)?;
    the_example_lists(&bench, &one)?;
    two_go_and_one_goes_on(&bench)?;
    they_come_back(&bench)?;
    bench.run(&["destroy", "--yes"]).assert_code(0);
    for number in 1..=3 {
        let left = operator::left_overs(&bench.machine(number)?, "incus")?;
        assert_eq!(left, "", "on node{number}");
    }
    Ok(bench.lab.take_down()?)
}

fn incus(machine: &Machine, script: &str) -> Result<String, Failed> {
    let script = format!("export INCUS_CONF=/run/incus-of-tests\n{script}");
    Ok(machine.root_script(&script, Duration::from_secs(120))?)
}

fn members(machine: &Machine) -> Result<Vec<(String, String)>, Failed> {
    Ok(listed(&incus(machine, "incus cluster list --format csv")?))
}

/// By the library, in a project of its own; and in BCM's, an instance on each member.
fn used(bench: &Bench, one: &Machine) -> Outcome {
    let image = image::bytes(one)?;
    client::block_on(async {
        let client = client::connect(&bench.lab, Flavour::Incus).await?;
        client::exercise(&client, image.clone()).await?;
        let inside = client.in_project("bcm");
        client::import(&inside, image).await?;
        for node in THREE {
            client::start(&inside, &format!("on-{node}"), "default", Some(node)).await?;
        }
        Ok(())
    })
}

/// The example program, over SSH from here and through the socket there.
fn the_example_lists(bench: &Bench, one: &Machine) -> Outcome {
    let example = bcm::example("list_cluster");
    let output = Command::new(&example)
        .arg("--ssh-config")
        .arg(bench.lab.ssh_config())
        .arg("node2")
        .output()?;
    let over_ssh = String::from_utf8_lossy(&output.stdout).into_owned();
    operator::install(one, &example, "list_cluster")?;
    let there = one.root_script(
        "list_cluster /var/lib/incus/unix.socket\nrm /usr/local/bin/list_cluster",
        Duration::from_secs(60),
    )?;
    for text in [over_ssh, there] {
        for part in [
            "member node3: Online",
            "instance bcm/on-node2: Running on node2",
            "storage pool bcm: dir",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
    Ok(())
}

fn two_go_and_one_goes_on(bench: &Bench) -> Outcome {
    bench.machine(2)?.power_cut()?;
    bench.machine(3)?.power_cut()?;
    let (code, status) = bench.status();
    assert_eq!((code, &status["quorum"]), (4, &false.into()), "{status:#}");
    let recovered = bench.run(&["recover", "--yes"]).assert_code(0);
    assert!(
        recovered.stdout.contains("node1 goes on alone"),
        "{recovered}"
    );
    for lost in ["node2", "node3"] {
        let removed = bench.run(&["remove", lost, "--force"]).assert_code(3);
        assert!(
            removed.stdout.contains(&format!("lost: on-{lost}")),
            "{removed}"
        );
    }
    let one = bench.machine(1)?;
    // The engine itself needs a few heartbeats to see that it is well.
    let status = bench.wait_healthy()?;
    assert_eq!(members(&one)?, online(&THREE[..1]));
    assert_eq!(status["instances"]["node1"]["running"], 1, "{status:#}");
    Ok(())
}

/// Two of the old three are enough to go on under the cluster's name; they are not taken for its
/// members, and can be cleared.
fn they_come_back(bench: &Bench) -> Outcome {
    for number in [2, 3] {
        let machine = bench.machine(number)?;
        machine.power_on()?;
        // The laboratory's own LXD mounts this over the folder of a machine that has it when it boots.
        machine.root_script("umount /var/lib/lxcfs || true", Duration::from_secs(20))?;
    }
    let refused = bench.run(&["add", "node2"]).assert_code(1);
    assert!(refused.stderr.contains("destroy --host"), "{refused}");
    let hosts = ["--host", "node2", "--host", "node3", "--yes"];
    let cleared = bench.run(&[&["destroy"][..], &hosts].concat());
    assert!(
        cleared.assert_code(0).stdout.contains("removed node3"),
        "not cleared"
    );
    bench.wait_healthy()?;
    Ok(())
}
