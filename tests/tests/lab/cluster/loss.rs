//! Members without power.

use std::time::Duration;

use super::{
    bench::{Bench, lxc, members, wait_offline, wait_online},
    fingerprint::{Closely, fingerprint, same},
    instances::{import_image, instances, launch},
};
use crate::Outcome;
use libtest_mimic::Failed;

/// Show: one of three goes, is removed, and a fresh machine takes its place; then two of three go,
/// and what the survivor holds is brought back.
pub(super) fn of_one_and_of_two() -> Outcome {
    let bench = Bench::new(3)?;
    let fresh = fingerprint(&bench.machine(3)?, Closely::Restored)?;
    bench
        .create(&["node1", "node2", "node3"], &[])
        .assert_code(0);
    let one = bench.machine(1)?;
    import_image(&one)?;
    launch(&one, "steady", "node1")?;
    one_goes(&bench)?;
    a_fresh_one_comes(&bench)?;
    the_lost_one_returns(&bench)?;
    let three = bench.machine(3)?;
    same(&three, &fresh, &fingerprint(&three, Closely::Restored)?)?;
    two_go(&bench)?;
    come_back(&bench)?;
    Ok(bench.lab.take_down()?)
}

/// The members that are not well, by name.
fn ill(status: &serde_json::Value) -> Vec<String> {
    let members = status["members"].as_array().cloned().unwrap_or_default();
    members
        .iter()
        .filter(|m| m["status"] != "Online" || m["reachable"] != true)
        .map(|m| m["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn one_goes(bench: &Bench) -> Outcome {
    let one = bench.machine(1)?;
    bench.machine(3)?.power_cut()?;
    // At once, before the cluster itself has noticed.
    let (code, status) = bench.status();
    assert_eq!(code, 4, "{status:#}");
    assert_eq!(ill(&status), ["node3"], "{status:#}");
    assert_eq!(status["members"].as_array().map(Vec::len), Some(3));
    assert_eq!(status["quorum"], true);
    assert_eq!(status["survives_losses"], 0);
    let finished = bench.run(&["status"]).assert_code(4);
    assert!(finished.stdout.contains("DEGRADED"), "{finished}");
    wait_offline(&one, "node3")?;
    let (code, status) = bench.status();
    assert_eq!((code, ill(&status)), (4, vec!["node3".to_owned()]));
    // What is lost with it has to be meant.
    let finished = bench.run(&["remove", "node3"]).assert_code(1);
    assert!(finished.stderr.contains("--force"), "{finished}");
    assert_eq!(members(&one)?.len(), 3);
    // Its machine is still to be cleared, and the answer says so.
    let finished = bench.run(&["remove", "node3", "--force"]).assert_code(3);
    assert!(finished.stdout.contains("destroy --host"), "{finished}");
    wait_online(&one, &["node1", "node2"])
}

fn a_fresh_one_comes(bench: &Bench) -> Outcome {
    let four = bench.lab.add_machine()?;
    assert_eq!(four.name(), "node4");
    bench.run(&["add", "node4"]).assert_code(0);
    wait_online(&bench.machine(1)?, &["node1", "node2", "node4"])?;
    let status = bench.wait_healthy()?;
    assert_eq!(status["survives_losses"], 1, "{status:#}");
    launch(&bench.machine(1)?, "moved-in", "node4")
}

/// It still believes that it is a member; nobody else does.
fn the_lost_one_returns(bench: &Bench) -> Outcome {
    let three = bench.machine(3)?;
    three.power_on()?;
    // The laboratory's own LXD mounts this over the folder of a machine that has it when it boots.
    three.root_script("umount /var/lib/lxcfs || true", Duration::from_secs(20))?;
    let finished = bench
        .run(&["destroy", "--host", "node3", "--yes"])
        .assert_code(0);
    assert!(finished.stdout.contains("removed node3"), "{finished}");
    bench.wait_healthy()?;
    Ok(())
}

fn two_go(bench: &Bench) -> Result<(), Failed> {
    let one = bench.machine(1)?;
    lxc(&one, "lxc profile create written-last --project bcm")?;
    bench.machine(2)?.power_cut()?;
    bench.machine(4)?.power_cut()?;
    let (code, status) = bench.status();
    assert_eq!(code, 4, "{status:#}");
    assert_eq!(status["quorum"], false, "{status:#}");
    let finished = bench.run(&["status"]).assert_code(4);
    assert!(
        finished.stdout.contains("bcm cluster recover"),
        "{finished}"
    );
    // What would be done, and nothing is.
    let finished = bench.run(&["recover", "--dry-run"]).assert_code(0);
    assert!(finished.stdout.contains("node1"), "{finished}");
    assert_eq!(bench.status().0, 4);
    bench.run(&["recover"]).assert_code(2);
    Ok(())
}

fn come_back(bench: &Bench) -> Outcome {
    let one = bench.machine(1)?;
    let finished = bench.run(&["recover", "--yes"]).assert_code(0);
    assert!(
        finished.stdout.contains("node1 goes on alone"),
        "{finished}"
    );
    let backup = finished
        .stdout
        .split_whitespace()
        .find(|word| word.contains("database-before-recovery"))
        .ok_or_else(|| format!("no backup is named: {finished}"))?;
    one.root(&["tar", "-tzf", backup], Duration::from_secs(60))?;
    // What was written last, and what runs.
    lxc(&one, "lxc profile show written-last --project bcm")?;
    let list = instances(&one)?;
    assert!(
        list.contains(&"steady,RUNNING,node1".to_owned()),
        "{list:?}"
    );
    for lost in ["node2", "node4"] {
        wait_offline(&one, lost)?;
        bench.run(&["remove", lost, "--force"]).assert_code(3);
    }
    wait_online(&one, &["node1"])?;
    bench.wait_healthy()?;
    launch(&one, "after", "node1")
}
