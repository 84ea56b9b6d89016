//! This machine as a cluster of its own, of Incus, that grows.

use std::time::Duration;

use bcm_tests::{
    bcm,
    lab::{Machine, Release},
};
use libtest_mimic::Failed;

use crate::{
    Outcome, Test,
    operator::{Operator, install, left_overs},
};

pub(crate) const TESTS: &[Test] = &[("engines::this_machine_alone", this_machine_alone)];

fn this_machine_alone() -> Outcome {
    let operator = Operator::new(Release::Trixie, 2)?;
    let (node1, node2) = (operator.lab.machine(1)?, operator.lab.machine(2)?);
    install(&node1, bcm::program(), "bcm")?;
    // A user with sudo, and root.
    let user = |arguments: &str| there(&node1, &format!("bcm cluster {arguments}"));
    let root = |arguments: &str| there(&node1, &format!("sudo bcm cluster {arguments}"));
    let would = user("create --driver local --dry-run")?;
    assert!(would.contains("would: local: install incus"), "{would}");
    assert_eq!(left_overs(&node1, "incus")?, "");
    let made = user("create --driver local")?;
    assert!(made.contains("6 changes; healthy"), "{made}");
    assert!(user("status")?.contains("healthy"), "it is");
    let again = root("create --driver local")?;
    assert!(again.contains("0 changes; healthy"), "{again}");

    // Others join over SSH, from here.
    let key = std::fs::read_to_string(operator.lab.identity())?;
    let known = std::fs::read_to_string(operator.lab.known_hosts())?;
    let script = format!(
        "cd ~bcm/.ssh\ncat >id_ed25519 <<'END'\n{key}END\ncat >known_hosts <<'END'\n{known}END\n\
         chmod 600 id_ed25519\nchown bcm: id_ed25519 known_hosts\n"
    );
    node1.root_script(&script, Duration::from_secs(20))?;
    let grown = user(&format!("add bcm@{}", node2.name()))?;
    assert!(grown.contains("2 changes; healthy"), "{grown}");
    let status = user("status")?;
    assert_eq!(status.matches(" online ").count(), 2, "{status}");
    user("destroy --yes")?;
    for machine in [&node1, &node2] {
        assert_eq!(left_overs(machine, "incus")?, "", "on {}", machine.name());
    }
    Ok(())
}

/// What a command says as a user of a machine; it has to succeed.
fn there(machine: &Machine, command: &str) -> Result<String, Failed> {
    let output = machine
        .ssh_command("bcm")
        .arg(machine.name())
        .arg(command)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{command}: {}: {said}", output.status).into()),
    }
}
