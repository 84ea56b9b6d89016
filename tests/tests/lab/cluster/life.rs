//! A cluster from its beginning to its end, and again.

use super::{
    bench::{Bench, LIMIT, lxc, members, online},
    fingerprint::{Closely, Fingerprint, fingerprint, same},
    instances::{import_image, instances, launch},
};
use crate::Outcome;
use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

const THREE: [&str; 3] = ["node1", "node2", "node3"];

/// Nothing is changed by a dry run; one member grows to three and four; the fourth leaves and comes
/// back; all of it goes without a trace, and can be made again.
pub(super) fn from_nothing_to_nothing() -> Outcome {
    let bench = Bench::new(4)?;
    // One of them has never asked a mirror what there is.
    let lists = "rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin";
    bench.machine(4)?.root_script(lists, LIMIT)?;
    let fresh = all(&bench, Closely::Restored)?;
    dry_run_changes_nothing(&bench)?;
    grow(&bench)?;
    nothing_to_do(&bench)?;
    instances_start(&bench)?;
    leave_and_come_back(&bench)?;
    destroy(&bench, &fresh)?;
    again(&bench)?;
    Ok(bench.lab.take_down()?)
}

fn all(bench: &Bench, closely: Closely) -> Result<Vec<Fingerprint>, Failed> {
    (1..=4)
        .map(|number| fingerprint(&bench.machine(number)?, closely))
        .collect()
}

fn compare(bench: &Bench, before: &[Fingerprint], closely: Closely) -> Outcome {
    for (number, before) in (1..).zip(before) {
        let machine = bench.machine(number)?;
        same(&machine, before, &fingerprint(&machine, closely)?)?;
    }
    Ok(())
}

fn dry_run_changes_nothing(bench: &Bench) -> Outcome {
    let before = all(bench, Closely::Untouched)?;
    let finished = bench.create(&THREE, &["--dry-run"]).assert_code(0);
    assert!(finished.stdout.contains("would: node3: join"), "{finished}");
    assert!(
        finished.stdout.contains("10 changes; nothing was done"),
        "{finished}"
    );
    compare(bench, &before, Closely::Untouched)?;
    // Nor here: it is not a cluster that somebody made.
    bench.run(&["status"]).assert_code(2);
    Ok(())
}

fn grow(bench: &Bench) -> Outcome {
    let one = bench.machine(1)?;
    let finished = bench.create(&THREE[..1], &[]).assert_code(0);
    assert!(finished.stdout.contains("healthy"), "{finished}");
    assert_eq!(members(&one)?, online(&["node1"]));
    // What is there stays as it is while the cluster grows.
    lxc(&one, "lxc profile create kept --project bcm")?;
    bench.create(&THREE, &[]).assert_code(0);
    assert_eq!(members(&one)?, online(&THREE));
    lxc(&one, "lxc profile show kept --project bcm")?;
    Ok(())
}

fn nothing_to_do(bench: &Bench) -> Outcome {
    let finished = bench.create(&THREE, &[]).assert_code(0);
    assert!(
        finished.stdout.contains(": 0 changes; healthy"),
        "{finished}"
    );
    let finished = bench.create(&THREE, &["--dry-run"]).assert_code(0);
    assert!(
        finished.stdout.contains("0 changes; nothing was done"),
        "{finished}"
    );
    Ok(())
}

fn instances_start(bench: &Bench) -> Outcome {
    let one = bench.machine(1)?;
    import_image(&one)?;
    for member in THREE {
        launch(&one, &format!("on-{member}"), member)?;
    }
    let expected = THREE.map(|member| format!("on-{member},RUNNING,{member}"));
    assert_eq!(instances(&one)?, expected);
    let (code, status) = bench.status();
    assert_eq!(code, 0, "{status:#}");
    assert_eq!(status["instances"]["node2"]["running"], 1, "{status:#}");
    Ok(())
}

fn leave_and_come_back(bench: &Bench) -> Outcome {
    let (one, four) = (bench.machine(1)?, bench.machine(4)?);
    let before = fingerprint(&four, Closely::Restored)?;
    come(bench, &one)?;
    launch(&one, "traveller", "node4")?;
    let finished = bench.run(&["remove", "node4"]).assert_code(0);
    assert!(
        finished.stdout.contains("moved first: traveller"),
        "{finished}"
    );
    assert_eq!(members(&one)?, online(&THREE));
    let list = instances(&one)?;
    let traveller = list.iter().find(|line| line.starts_with("traveller,"));
    assert!(
        traveller.is_some_and(|line| !line.contains("node4")),
        "{list:?}"
    );
    same(&four, &before, &fingerprint(&four, Closely::Restored)?)?;
    come(bench, &one)?;
    bench.wait_healthy()?;
    Ok(())
}

fn come(bench: &Bench, one: &Machine) -> Outcome {
    bench.run(&["add", "node4"]).assert_code(0);
    assert_eq!(members(one)?, online(&["node1", "node2", "node3", "node4"]));
    Ok(())
}

fn destroy(bench: &Bench, fresh: &[Fingerprint]) -> Outcome {
    // Nobody is there to type its name.
    bench.run(&["destroy"]).assert_code(2);
    bench.run(&["destroy", "--yes"]).assert_code(0);
    compare(bench, fresh, Closely::Restored)?;
    bench.run(&["status"]).assert_code(2);
    Ok(())
}

fn again(bench: &Bench) -> Outcome {
    let finished = bench.create(&THREE[..2], &[]).assert_code(0);
    assert!(finished.stdout.contains("8 changes; healthy"), "{finished}");
    assert_eq!(members(&bench.machine(2)?)?, online(&THREE[..2]));
    Ok(())
}
