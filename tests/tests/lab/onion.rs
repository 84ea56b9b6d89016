//! A machine's SSH as an onion service, in a Tor network of the lab's own.

mod system_tor;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bcm_tests::bcm::{self, Finished, Running};
use bcm_tests::lab::{Machine, TorNetwork};
use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::shared;
use crate::{Outcome, Test};

pub(crate) const TESTS: &[Test] = &[
    (
        "onion::a_cluster_is_made_through_tor_alone_by_the_holder_of_the_key",
        a_cluster_is_made_through_tor_alone_by_the_holder_of_the_key,
    ),
    (
        "onion::a_torrc_of_somebody_s_own_is_kept",
        a_torrc_of_somebody_s_own_is_kept,
    ),
];

const SOON: Duration = Duration::from_secs(120);

/// Installing an engine and finding a service on a busy machine.
const LATER: Duration = Duration::from_secs(600);

/// An operator with a home, and the lab's key for SSH.
struct Operator {
    home: TempDir,
    config: PathBuf,
    key: PathBuf,
}

impl Operator {
    fn new(torrc: &str) -> Result<Self, Failed> {
        // Sockets are in it: a short path.
        let home = tempfile::tempdir_in("/tmp")?;
        std::fs::create_dir_all(home.path().join(".config/bcm"))?;
        std::fs::write(home.path().join(".config/bcm/torrc"), torrc)?;
        let lab = shared::lab()?;
        Ok(Self {
            config: lab.ssh_config(),
            key: lab.identity().with_extension("pub"),
            home,
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = bcm::command(words);
        command.env("HOME", self.home.path());
        command
    }

    fn run(&self, words: &[&str]) -> Finished {
        Running::start(self.command(words)).finish(LATER)
    }

    /// With the lab's `ssh_config`.
    fn reach(&self, words: &[&str]) -> Finished {
        let config = self.config.to_string_lossy();
        self.run(&[words, &["--ssh-config", &config]].concat())
    }

    fn prepare(&self, host: &str, more: &[&str]) -> Finished {
        let key = self.key.to_string_lossy();
        let words = ["host", "prepare", host, "--user", "op", "--key", &key];
        self.reach(&[&words[..], &["--onion"], more].concat())
    }

    /// Makes the machine known, with the key on stdin.
    fn add(&self, name: &str, address: &str, key: &str) -> Finished {
        let path = self.home.path().join("key");
        std::fs::write(&path, key).expect("a file of the test's own");
        let words = ["ssh", "add-onion", name, address, "--user", "op"];
        let mut command = self.command(&words);
        command.stdin(std::fs::File::open(&path).expect("it was just written"));
        Running::start(command).finish(SOON)
    }

    fn mode(&self, path: &str) -> u32 {
        let path = self.home.path().join(".local/state/bcm/onion").join(path);
        let of = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        of.permissions().mode() & 0o777
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // A test that failed leaves a Tor, which would end by itself minutes later.
        let words = ["ssh", "remove-onion", "far"];
        let _ = self
            .command(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// What is on the machine: packages, users, and files where settings and state are.
fn fingerprint(machine: &Machine) -> Result<BTreeSet<String>, Failed> {
    // A package that was there may have been brought up to date.
    let text = machine.root_script(
        "dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n'\n\
         find /etc /home /root /opt /srv /var/lib -xdev \\( -path /var/lib/apt -o -path /var/lib/dpkg \
         -o -path /var/lib/systemd -o -name '*-' \\) -prune -o -printf '%p %y %m %u %g %l\\n'\n\
         find /etc /home -type f ! -name '*-' ! -name ld.so.cache | xargs -d '\\n' md5sum\n",
        SOON,
    )?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Fails with what came and what went, unless the machine is as it was.
fn same(before: &BTreeSet<String>, machine: &Machine) -> Outcome {
    let now = fingerprint(machine)?;
    let gone: Vec<_> = before.difference(&now).collect();
    let new: Vec<_> = now.difference(before).collect();
    match gone.is_empty() && new.is_empty() {
        true => Ok(()),
        false => Err(format!("gone: {gone:#?}, new: {new:#?}").into()),
    }
}

fn a_cluster_is_made_through_tor_alone_by_the_holder_of_the_key() -> Outcome {
    let lab = shared::lab()?;
    let network = TorNetwork::start(lab.record().subnet.gateway())?;
    let machine = shared::fresh_machine()?;
    let operator = Operator::new(network.torrc())?;
    let host = machine.name().to_owned();
    // The machine's Tor shall belong to the lab's network: these are somebody's own lines.
    let torrc = format!("# mine\n{}", network.torrc().trim_end());
    machine.root_script(
        &format!("mkdir /etc/tor\nprintf %s '{torrc}' >/etc/tor/torrc"),
        SOON,
    )?;
    let before = fingerprint(&machine)?;
    network.wait()?;

    let planned = operator.prepare(&host, &["--dry-run", "--output", "json"]);
    let planned = planned.assert_code(0).json()["changes"].clone();
    same(&before, &machine)?;
    let more = ["--output", "json", "--onion-wait", "600"];
    let done = operator.prepare(&host, &more).assert_code(0);
    let said = done.stderr.clone();
    let done = done.json();
    assert_eq!(done["changes"], planned, "a dry run shows what is done");
    let text = |at: &str| done["onion"][at].as_str().map(str::to_owned);
    let (Some(address), Some(key)) = (text("address"), text("key")) else {
        return Err(format!("no address or no key: {done}").into());
    };
    assert!(!said.contains(&key), "the key was told twice: {said}");
    let secrets = machine.root_script(
        &format!("grep -rlF {key} /etc /var /home /root /tmp /run 2>/dev/null || true"),
        SOON,
    )?;
    assert_eq!(secrets, "", "the machine knows the secret half of the key");
    let modes = machine.root_script(
        "cd /var/lib/tor; stat -c '%A %U' bcm-ssh bcm-ssh/authorized_clients bcm-ssh/authorized_clients/*",
        SOON,
    )?;
    assert_eq!(
        modes,
        "drwx--S--- debian-tor\ndrwx--S--- debian-tor\n-rw------- debian-tor\n"
    );
    let again = operator
        .prepare(&host, &["--output", "json"])
        .assert_code(0);
    assert_eq!(again.json()["changes"], serde_json::json!([]));
    assert_eq!(again.json()["onion"]["key_kept"], true);
    assert!(again.json()["onion"]["key"].is_null(), "{again}");

    // From here on there is no other way to the machine.
    machine.root_script(
        "echo 'ListenAddress 127.0.0.1' >/etc/ssh/sshd_config.d/50-mine.conf\n\
         systemctl restart ssh.service",
        SOON,
    )?;
    assert!(
        !machine.port_open(22),
        "sshd was to listen on loopback alone"
    );
    only_the_key_opens_it(&operator, &address, &key)?;
    system_tor::leads_there_and_is_given_back(network.torrc(), &address, &key)?;
    cluster_and_back(&operator)?;
    let own = operator
        .reach(&["host", "prepare", "far", "--undo"])
        .assert_code(1);
    assert!(own.stderr.contains("by the onion service"), "{own}");

    // Another key, by the way that the old one opened.
    let file = operator.home.path().join("new-key");
    let file = file.to_string_lossy();
    let more = [
        "--rotate-onion-key",
        "--onion-key",
        &file,
        "--onion-wait",
        "600",
    ];
    let rotated = operator.prepare("far", &more).assert_code(0);
    assert!(rotated.stdout.contains("let one client's key"), "{rotated}");
    let of = std::fs::metadata(&*file)?;
    assert_eq!(of.permissions().mode() & 0o777, 0o600);
    let new = std::fs::read_to_string(&*file)?;
    assert!(!rotated.stdout.contains(new.trim()), "{rotated}");
    operator.add("far", &address, &new).assert_code(0);
    operator.reach(&["host", "check", "far"]).assert_code(0);
    operator.run(&["ssh", "remove-onion", "far"]).assert_code(0);
    let left = operator.home.path().join(".local/state/bcm/onion");
    assert!(!left.join("tor").exists());
    assert_eq!(std::fs::read_dir(left.join("auth"))?.count(), 0);

    machine.root_script(
        "rm /etc/ssh/sshd_config.d/50-mine.conf\nsystemctl restart ssh.service",
        SOON,
    )?;
    machine.wait_ssh(SOON)?;
    operator
        .reach(&["host", "prepare", &host, "--undo"])
        .assert_code(0);
    same(&before, &machine)
}

fn only_the_key_opens_it(operator: &Operator, address: &str, key: &str) -> Outcome {
    let check = ["host", "check", "far", "--host-keys", "accept-new"];
    let add = [
        "ssh",
        "add-onion",
        "far",
        address,
        "--user",
        "op",
        "--no-key",
    ];
    operator.run(&add).assert_code(0);
    let refused = operator.reach(&check).assert_code(4);
    assert!(
        refused.stdout.contains("takes authorised clients only"),
        "{refused}"
    );
    let wrong = "O4DW2CTTDCST2FTSYFPTYFVGMZC7OURXQ6ZBOJNZUUJG5X6Z2EVA";
    operator.add("far", address, wrong).assert_code(0);
    let refused = operator.reach(&check).assert_code(4);
    assert!(refused.stdout.contains("key for it is wrong"), "{refused}");
    let slip = operator.add("far", address, "no key").assert_code(2);
    assert!(slip.stderr.contains("no client's key"), "{slip}");

    let added = operator.add("far", address, key).assert_code(0);
    assert!(!format!("{added}").contains(key), "{added}");
    assert_eq!(operator.mode(""), 0o700);
    assert_eq!(operator.mode("auth"), 0o700);
    assert_eq!(operator.mode("tor"), 0o700);
    for file in ["auth/far.auth_private", "hosts.json", "ssh_config"] {
        assert_eq!(operator.mode(file), 0o600, "{file}");
    }
    operator.reach(&check).assert_code(0);
    let listed = operator.run(&["ssh", "list-onion"]).assert_code(0);
    assert!(listed.stdout.contains(address), "{listed}");
    assert!(!listed.stdout.contains(key), "{listed}");
    let config = operator.config.to_string_lossy().into_owned();
    let words = [
        "ssh",
        "connect",
        "far",
        "--ssh-config",
        &config,
        "--",
        "id",
        "-un",
    ];
    let connected = operator.run(&words).assert_code(0);
    assert_eq!(connected.stdout, "op\n");
    Ok(())
}

fn cluster_and_back(operator: &Operator) -> Outcome {
    let created = operator.reach(&["cluster", "create", "--name", "faraway", "--host", "far"]);
    let created = created.assert_code(0);
    assert!(created.stdout.contains("healthy"), "{created}");
    // How it was reached is remembered.
    operator.run(&["cluster", "status"]).assert_code(0);
    operator
        .run(&["cluster", "destroy", "--yes"])
        .assert_code(0);
    Ok(())
}

fn a_torrc_of_somebody_s_own_is_kept() -> Outcome {
    let machine = shared::fresh_machine()?;
    let operator = Operator::new("")?;
    let host = machine.name().to_owned();
    // A service of their own, no end of the last line, and a network that does not answer.
    let torrc = "# mine\nTestingTorNetwork 1\nDirAuthority gone orport=9 \
        v3ident=0000000000000000000000000000000000000001 127.0.0.1:9 \
        0000000000000000000000000000000000000001\nHiddenServiceDir /var/lib/tor/mine\n\
        HiddenServicePort 80 127.0.0.1:80";
    let write = |text: &str| {
        let script = format!("mkdir -p /etc/tor\nprintf %s '{text}' >/etc/tor/torrc");
        machine.root_script(&script, SOON)
    };
    let read = || machine.root(&["cat", "/etc/tor/torrc"], SOON);
    write(torrc)?;
    machine.root_script(
        "export DEBIAN_FRONTEND=noninteractive\napt-get -q update\n\
         apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install tor",
        LATER,
    )?;
    let mine = machine.root(&["cat", "/var/lib/tor/mine/hostname"], SOON)?;

    write("Nonsense 1\n")?;
    let refused = operator.prepare(&host, &[]).assert_code(1);
    assert!(refused.stderr.contains("torrc is broken"), "{refused}");
    assert_eq!(read()?, "Nonsense 1\n");
    let home = machine.root(&["ls", "/home"], SOON)?;
    assert!(!home.contains("op"), "nothing else was to be changed");
    write(torrc)?;

    let silent = operator
        .prepare(&host, &["--onion-wait", "5"])
        .assert_code(1);
    assert!(
        silent.stderr.contains("was not announced within 5 s"),
        "{silent}"
    );
    assert!(silent.stderr.contains("Tor said last"), "{silent}");
    let changed = read()?;
    assert!(changed.starts_with(torrc), "{changed}");
    assert!(
        changed.contains("HiddenServiceDir /var/lib/tor/bcm-ssh"),
        "{changed}"
    );
    assert_eq!(
        machine.root(&["cat", "/var/lib/tor/mine/hostname"], SOON)?,
        mine
    );

    operator
        .reach(&["host", "prepare", &host, "--undo"])
        .assert_code(0);
    assert_eq!(read()?, torrc);
    assert_eq!(
        machine.root(&["cat", "/var/lib/tor/mine/hostname"], SOON)?,
        mine
    );
    let left = machine.root(&["ls", "/etc/tor", "/var/lib/tor"], SOON)?;
    assert!(!left.contains("bcm"), "{left}");
    machine.root(&["systemctl", "is-active", "tor@default.service"], SOON)?;
    Ok(())
}
