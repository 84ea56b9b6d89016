//! What machines are, and what can happen to them.

use std::{thread, time::Duration};

use bcm_tests::lab::{Captured, Lab, LabOptions, Machine, Release};

use crate::{
    Outcome, Test,
    shared::{fresh_machine, lab, machine, options},
};

pub(crate) const TESTS: &[Test] = &[
    ("machines::three_come_up", three_come_up),
    ("machines::users_and_sudo", users_and_sudo),
    ("machines::know_each_other", know_each_other),
    ("machines::install_packages", install_packages),
    ("machines::power_cut_and_back", power_cut_and_back),
    ("machines::pause_and_resume", pause_and_resume),
    ("machines::unplug_and_plug", unplug_and_plug),
    ("machines::drop_a_port", drop_a_port),
    ("machines::trixie", trixie),
];

const SOON: Duration = Duration::from_secs(30);

/// Runs a command as `bcm` that has to succeed, and gives what it wrote.
fn bcm(machine: &Machine, argv: &[&str]) -> Result<String, libtest_mimic::Failed> {
    let captured = machine.ssh("bcm", argv)?;
    if captured.code() != 0 {
        return Err(format!("{argv:?} on {}: {captured:?}", machine.name()).into());
    }
    Ok(captured.stdout.trim().to_owned())
}

fn refused(captured: &Captured, with: &str) {
    assert_ne!(captured.code(), 0, "{captured:?}");
    assert!(captured.stderr.contains(with), "{captured:?}");
}

fn three_come_up() -> Outcome {
    let machines = lab()?.machines();
    assert!(machines.len() >= 3);
    for machine in &machines[..3] {
        assert_eq!(bcm(machine, &["hostname"])?, machine.name());
        let state = machine.root(&["systemctl", "is-system-running", "--wait"], SOON)?;
        assert_eq!(state.trim(), "running");
        let release = bcm(machine, &["cat", "/etc/os-release"])?;
        assert!(release.contains("VERSION_CODENAME=bookworm"), "{release}");
    }
    let mut addresses: Vec<_> = machines.iter().map(Machine::address).collect();
    addresses.dedup();
    assert_eq!(addresses.len(), machines.len());
    Ok(())
}

fn users_and_sudo() -> Outcome {
    let machine = machine(1)?;
    assert_eq!(bcm(&machine, &["sudo", "-n", "id", "-u"])?, "0");
    let plain = machine.ssh("plain", &["id", "-un"])?;
    assert_eq!(plain.stdout.trim(), "plain", "{plain:?}");
    refused(&machine.ssh("plain", &["sudo", "-n", "true"])?, "password");
    refused(&machine.ssh("root", &["true"])?, "Permission denied");
    refused(&machine.ssh("nobody-here", &["true"])?, "Permission denied");
    Ok(())
}

fn know_each_other() -> Outcome {
    let (one, two) = (machine(1)?, machine(2)?);
    bcm(&one, &["ping", "-c1", "-W5", &two.address().to_string()])?;
    bcm(&one, &["ping", "-c1", "-W5", two.name()])?;
    if let Some(ipv6) = two.ipv6() {
        bcm(&one, &["ping", "-c1", "-W5", &ipv6.to_string()])?;
    }
    // As on a machine that Debian's installer made.
    let own = bcm(&one, &["getent", "ahostsv4", one.name()])?;
    assert!(own.starts_with("127.0.1.1"), "{own}");
    Ok(())
}

fn install_packages() -> Outcome {
    let machine = fresh_machine()?;
    machine.root_script(
        "export DEBIAN_FRONTEND=noninteractive\n\
         apt-get update -q && apt-get install -y -q --no-install-recommends tree\n",
        Duration::from_secs(120),
    )?;
    bcm(&machine, &["tree", "--version"])?;
    Ok(())
}

fn boot_id(machine: &Machine) -> Result<String, libtest_mimic::Failed> {
    // Containers share the kernel's own boot id; the age of the first process is theirs.
    bcm(machine, &["stat", "-c", "%Z", "/proc/1"])
}

fn power_cut_and_back() -> Outcome {
    let machine = fresh_machine()?;
    machine.root_script("echo kept > /root/file; sync", SOON)?;
    machine.root_script("systemd-run --unit=lost sleep 1000", SOON)?;
    let before = boot_id(&machine)?;
    machine.power_cut()?;
    assert!(!machine.port_open(22));
    thread::sleep(Duration::from_millis(1100));
    machine.power_on()?;
    assert_ne!(boot_id(&machine)?, before);
    assert_eq!(machine.root(&["cat", "/root/file"], SOON)?, "kept\n");
    let unit = machine.root_script("systemctl is-active lost || true", SOON)?;
    assert_eq!(unit, "inactive\n");
    Ok(())
}

fn pause_and_resume() -> Outcome {
    let machine = fresh_machine()?;
    machine.pause()?;
    let error = machine.wait_ssh(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("last seen"), "{error}");
    machine.resume()?;
    machine.wait_ssh(SOON)?;
    bcm(&machine, &["true"])?;
    Ok(())
}

fn unplug_and_plug() -> Outcome {
    let machine = fresh_machine()?;
    let address = machine.address().to_string();
    machine.unplug()?;
    assert!(!machine.port_open(22));
    let carrier = machine.root_script("cat /sys/class/net/eth0/carrier", SOON)?;
    assert_eq!(carrier, "0\n");
    machine.plug()?;
    machine.wait_ssh(SOON)?;
    assert!(bcm(&machine, &["hostname", "-I"])?.contains(&address));
    Ok(())
}

fn drop_a_port() -> Outcome {
    let machine = fresh_machine()?;
    machine.root_script(
        "systemd-run --unit=second /usr/sbin/sshd -D -p 8443\n\
         for n in $(seq 100); do ss -ltn | grep -q :8443 && exit; sleep 0.1; done; exit 1",
        SOON,
    )?;
    assert!(machine.port_open(8443));
    machine.drop_port(8443)?;
    machine.drop_port(9000)?;
    assert!(!machine.port_open(8443));
    assert!(machine.port_open(22));
    machine.undrop_port(8443)?;
    assert!(machine.port_open(8443));
    machine.undrop_port(8443).unwrap_err();
    Ok(())
}

fn trixie() -> Outcome {
    let lab = Lab::start(&LabOptions {
        machines: 1,
        release: Release::Trixie,
        ..options()
    })?;
    let machine = lab.machine(1)?;
    let release = bcm(&machine, &["cat", "/etc/os-release"])?;
    assert!(release.contains("VERSION_CODENAME=trixie"), "{release}");
    let state = machine.root(&["systemctl", "is-system-running", "--wait"], SOON)?;
    assert_eq!(state.trim(), "running");
    machine.root(&["apt-get", "update", "-q"], Duration::from_secs(60))?;
    let incus = machine.root(&["apt-cache", "policy", "incus"], SOON)?;
    assert!(incus.contains("Candidate: 6."), "{incus}");
    lab.take_down()?;
    Ok(())
}
