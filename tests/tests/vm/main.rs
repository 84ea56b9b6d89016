//! Clusters of virtual machines that `bcm` makes from nothing, with QEMU: on Debian for amd64, with
//! the programs that building an image takes and a way to Debian's mirror.
//!
//! `bash .ci/run vm` brings what is needed and runs this; it runs with `BCM_VM=required` alone. The image
//! that is built stays in `target/vm`.

mod operator;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use bcm_tests::on_request::OnRequest;
use libtest_mimic::{Arguments, Failed};

use operator::Operator;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = OnRequest::new("BCM_VM", needs)
        .trial("a_cluster_from_nothing_to_nothing", from_nothing_to_nothing);
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

/// What is missing here.
fn needs() -> Option<String> {
    let there = |program: &&str| {
        ["/usr/bin", "/usr/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).is_file())
    };
    let missing: Vec<&str> = [
        "qemu-system-x86_64",
        "mmdebstrap",
        "mkfs.ext4",
        "ssh-keygen",
    ]
    .into_iter()
    .filter(|program| !there(program))
    .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// From nothing to a cluster that is well, through a rest and a power cut, and back to nothing.
fn from_nothing_to_nothing() -> Result<(), Failed> {
    let begin = Instant::now();
    let operator = Operator::new()?;
    let told = |what: &str| println!("{:4} s  {what}", begin.elapsed().as_secs());
    // One processor: a second one of an emulated machine costs more than it brings.
    let create = [
        "cluster", "create", "--driver", "vm", "--memory", "1G", "--cpus", "1",
    ];
    let plan = ["cluster", "plan", "--driver", "vm"];

    let planned = operator.run(&plan, 0)?;
    has(
        &planned.stdout,
        "would: make the virtual machine bcm-node1 with QEMU",
    )?;
    if operator.state().exists() {
        return Err("a plan made something".into());
    }
    let created = operator.run(&create, 0)?;
    has(&created.stdout, "healthy")?;
    told("created");
    well(&operator)?;

    let again = operator.run(&create, 0)?;
    has(&again.stdout, ": 0 changes; healthy")?;
    has(
        &operator.run(&plan, 0)?.stdout,
        "0 changes; nothing was done",
    )?;
    told("again, nothing to do");

    has(
        &operator.run(&["cluster", "stop"], 0)?.stdout,
        "bcm-node1 stopped",
    )?;
    if !operator.machines().is_empty() {
        return Err("a machine runs that was stopped".into());
    }
    told("stopped");
    let status = operator.run(&["cluster", "status"], 4)?;
    has(&status.stdout, "STOPPED")?;
    has(&status.stdout, "bcm cluster start")?;
    operator.run(&["cluster", "start"], 0)?;
    told("started");
    well(&operator)?;

    // A power cut.
    for id in operator.machines() {
        let killed = Command::new("kill")
            .args(["-KILL", &id.to_string()])
            .status()?;
        assert!(killed.success(), "kill {id}");
    }
    let after = operator.run(&create, 0)?;
    has(&after.stdout, ": 0 changes; healthy")?;
    told("after a power cut");

    // What is begun again while it runs finds the same machine; somebody who logs in, too.
    let name = operator.run(&["ssh", "connect", "bcm-node1", "--", "hostname"], 0)?;
    has(&name.stdout, "bcm-node1")?;
    let destroyed = operator.run(&["cluster", "destroy", "--yes"], 0)?;
    has(&destroyed.stdout, "removed virtual machine bcm-node1")?;
    told("destroyed");
    operator.nothing_is_left()
}

/// Fails unless the cluster is well.
fn well(operator: &Operator) -> Result<(), Failed> {
    let status = operator.run(&["cluster", "status"], 0)?;
    has(&status.stdout, "healthy")
}

fn has(text: &str, part: &str) -> Result<(), Failed> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("{part:?} is not in: {text}").into()),
    }
}
