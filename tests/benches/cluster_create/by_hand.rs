//! What a person does who follows LXD's documentation.

use std::time::Instant;

use bcm_tests::lab::{Lab, Machine};

use super::{Failure, Phases};

const INSTALL: &str = "export DEBIAN_FRONTEND=noninteractive; \
    sudo -E apt-get -q update >/dev/null && sudo -E apt-get -q -y install --no-install-recommends \
    lxd lxd-client dnsmasq-base nftables iptables >/dev/null 2>&1";

/// Makes the same cluster as `bcm cluster create`.
pub(super) fn create(lab: &Lab) -> Result<Phases, Failure> {
    let machines = lab.machines();
    let mut phases = Phases::new();
    let mut phase = |name, work: &dyn Fn() -> Result<(), Failure>| {
        let start = Instant::now();
        work()?;
        phases.push((name, start.elapsed().as_secs_f64()));
        Ok::<_, Failure>(())
    };
    phase("install", &|| {
        machines.iter().try_for_each(|machine| {
            shell(machine, INSTALL)?;
            Ok(())
        })
    })?;
    let (first, others) = (&machines[0], &machines[1..]);
    phase("first member, pool, network, profile", &|| {
        preseed(
            first,
            &format!(
                "config: {{core.https_address: '{address}:8443'}}\n\
                 storage_pools: [{{name: bcm, driver: dir}}]\n\
                 networks: [{{name: bcmbr0, type: bridge, \
                 config: {{ipv4.address: auto, ipv6.address: none}}}}]\n\
                 profiles: [{{name: default, devices: {{root: {{path: /, pool: bcm, type: disk}}, \
                 eth0: {{name: eth0, network: bcmbr0, type: nic}}}}}}]\n\
                 cluster: {{server_name: {name}, enabled: true}}\n",
                address = first.address(),
                name = first.name()
            ),
        )
    })?;
    phase("two join", &|| {
        others.iter().try_for_each(|machine| {
            let added = shell(first, &format!("sudo lxc cluster add {}", machine.name()))?;
            let token = added.lines().last().unwrap_or_default().trim();
            preseed(
                machine,
                &format!(
                    "cluster: {{enabled: true, server_address: '{}:8443', cluster_token: '{token}'}}\n",
                    machine.address()
                ),
            )
        })
    })?;
    phase("verify", &|| status(lab))?;
    Ok(phases)
}

/// Asks every member for what `bcm cluster status` shows.
pub(super) fn status(lab: &Lab) -> Result<(), Failure> {
    for machine in lab.machines() {
        let list = shell(
            &machine,
            "sudo lxc cluster list -f csv && sudo lxc storage list -f csv && \
             sudo lxc network list -f csv && sudo lxc list --all-projects -f csv",
        )?;
        assert_eq!(list.matches(",ONLINE,").count(), 3, "{list}");
    }
    Ok(())
}

fn preseed(machine: &Machine, text: &str) -> Result<(), Failure> {
    shell(
        machine,
        &format!("sudo lxd init --preseed <<'END'\n{text}END\n"),
    )
    .map(|_| ())
}

/// Runs a line of shell as a person would, who sees it fail.
fn shell(machine: &Machine, line: &str) -> Result<String, Failure> {
    let captured = machine.ssh_within("bcm", &["sh", "-c", line], super::LIMIT)?;
    assert_eq!(
        captured.code(),
        0,
        "{line} on {}: {captured:?}",
        machine.name()
    );
    Ok(captured.stdout)
}
