//! A lab for somebody who makes a cluster, and what they leave.

use std::{path::Path, time::Duration};

use bcm_tests::lab::{Lab, LabOptions, Machine, Release};
use libtest_mimic::Failed;

use crate::shared::options;

/// A lab of their own.
pub(crate) struct Operator {
    pub(crate) lab: Lab,
}

impl Operator {
    pub(crate) fn new(release: Release, machines: u8) -> Result<Self, Failed> {
        Ok(Self {
            lab: Lab::start(&LabOptions {
                machines,
                release,
                ..options()
            })?,
        })
    }
}

/// Puts a file into a machine, for everybody to run.
pub(crate) fn install(machine: &Machine, program: &Path, name: &str) -> Result<(), Failed> {
    let to = format!("/usr/local/bin/{name}");
    let output = machine
        .ssh_command("bcm")
        .arg(machine.name())
        .arg(format!("sudo sh -c 'cat >{to} && chmod 755 {to}'"))
        .stdin(std::fs::File::open(program)?)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// What is left on a machine of an engine that was there, and of BCM's notes; empty when nothing is.
pub(crate) fn left_overs(machine: &Machine, engine: &str) -> Result<String, Failed> {
    let script = format!(
        "for path in /var/lib/bcm-host /var/lib/{engine} /var/log/{engine} /var/cache/{engine} \
             /run/{engine} /sys/class/net/bcmbr0; do\n\
             if [ -e $path ]; then echo $path; fi\ndone\n\
         dpkg-query -W -f '${{db:Status-Abbrev}}${{Package}}\\n' | grep -E '{engine}|^[^i]' || true\n\
         grep -H {engine} /etc/passwd /etc/group /etc/subuid /etc/subgid || true\n\
         grep -H ^root: /etc/subuid /etc/subgid || true\n\
         nft list tables | grep {engine} || true\n\
         find /var/cache/apt/archives -name '*.deb'\n\
         cat /proc/[0-9]*/comm | grep -E '^({engine}d?|lxc.*|dnsmasq|forkdns)$' || true\n\
         grep {engine} /proc/mounts || true\n"
    );
    Ok(machine.root_script(&script, Duration::from_secs(60))?)
}
