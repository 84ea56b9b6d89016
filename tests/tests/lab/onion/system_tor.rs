//! A machine that reaches another one by the Tor of its system.

use std::fs::File;
use std::process::Stdio;

use bcm_tests::bcm;
use bcm_tests::lab::{Captured, Machine};
use libtest_mimic::Failed;

use super::{LATER, SOON};
use crate::{Outcome, shared};

/// An operator who may use sudo, with `bcm` and the lab's key, where Debian's Tor has `torrc`.
fn client(torrc: &str) -> Result<Machine, Failed> {
    let machine = shared::fresh_machine()?;
    let identity = std::fs::read_to_string(shared::lab()?.identity())?;
    machine.root_script(
        &format!(
            "mkdir /etc/tor\nprintf %s '{torrc}' >/etc/tor/torrc\n\
             export DEBIAN_FRONTEND=noninteractive\napt-get -q update\n\
             apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install tor\n\
             umask 077\ncat >~bcm/.ssh/id_ed25519 <<'END'\n{}\nEND\n\
             chown bcm: ~bcm/.ssh/id_ed25519\n",
            identity.trim_end()
        ),
        LATER,
    )?;
    let sent = machine
        .ssh_command("bcm")
        .arg(machine.name())
        .arg("sudo tee /usr/local/bin/bcm >/dev/null && sudo chmod 755 /usr/local/bin/bcm")
        .stdin(File::open(bcm::program())?)
        .stdout(Stdio::null())
        .status()?;
    assert!(sent.success(), "bcm was to be brought there");
    Ok(machine)
}

/// Runs `bcm` there as the operator.
fn run(machine: &Machine, words: &[&str]) -> Result<Captured, Failed> {
    let words = [&["bcm"], words].concat();
    Ok(machine.ssh_within("bcm", &words, LATER)?)
}

/// The service at `address` is reached with `key`; torrc becomes what it was.
pub(super) fn leads_there_and_is_given_back(torrc: &str, address: &str, key: &str) -> Outcome {
    let machine = client(torrc)?;
    let state = || {
        machine.root_script(
            "cat /etc/tor/torrc\nls -A /etc/tor /var/lib/tor /var/lib/bcm-host 2>&1 || true",
            SOON,
        )
    };
    let before = state()?;
    machine.root_script(
        &format!("umask 077\nprintf %s '{key}' >~bcm/key\nchown bcm: ~bcm/key"),
        SOON,
    )?;
    let add = |more: &[&str]| {
        let words = [
            "ssh",
            "add-onion",
            "far",
            address,
            "--user",
            "op",
            "--key-file",
            "key",
        ];
        run(&machine, &[&words[..], more].concat())
    };

    machine.root_script(
        "cp -p /etc/tor/torrc /root/\necho Nonsense 1 >>/etc/tor/torrc",
        SOON,
    )?;
    let broken = state()?;
    let refused = add(&["--system-tor"])?;
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.stderr.contains("torrc is broken"), "{refused:?}");
    assert_eq!(state()?, broken);
    machine.root(&["cp", "-p", "/root/torrc", "/etc/tor/torrc"], SOON)?;

    let planned = add(&["--system-tor", "--dry-run"])?;
    assert!(
        planned.stdout.contains("give the key to the system's Tor"),
        "{planned:?}"
    );
    assert_eq!(state()?, before, "a dry run changes nothing");
    let check = ["host", "check", "far", "--host-keys", "accept-new"];
    let added = add(&["--system-tor"])?;
    assert_eq!(added.code(), 0, "{added:?}");
    let now = state()?;
    assert!(
        now.contains("ClientOnionAuthDir /var/lib/tor/bcm-onion-auth"),
        "{now}"
    );
    assert!(now.starts_with(torrc), "{now}");
    let checked = run(&machine, &check)?;
    assert_eq!(checked.code(), 0, "{checked:?}");
    let connected = run(&machine, &["ssh", "connect", "far", "--", "id", "-un"])?;
    assert_eq!(connected.stdout, "op\n", "{connected:?}");
    // No Tor of the operator's own was started for it.
    let own = machine.root_script("pgrep -u bcm -x tor || echo none", SOON)?;
    assert_eq!(own, "none\n");

    let removed = run(&machine, &["ssh", "remove-onion", "far"])?;
    assert_eq!(removed.code(), 0, "{removed:?}");
    assert_eq!(state()?, before);
    machine.root(&["systemctl", "is-active", "tor@default.service"], SOON)?;
    Ok(())
}
