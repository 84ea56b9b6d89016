//! What cannot be done is said before anything is changed, or is taken back.

use std::{fs, time::Duration};

use bcm_tests::bcm::{Finished, Running};

use super::{
    bench::{Bench, LIMIT, create},
    fingerprint::{Closely, fingerprint, same},
};
use crate::Outcome;

const SOON: Duration = Duration::from_secs(60);

/// Fails unless `finished` ended with `code` and said all of this.
fn says(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code(), code, "{finished}");
    for word in words {
        assert!(
            finished.stderr.contains(word),
            "{word:?} is missing: {finished}"
        );
    }
}

/// Show: a changed host key, a wrong user, no sudo, a closed port. Bad input: names that do not
/// resolve or lead back here, one machine twice, names that LXD refuses, tools that are not to be
/// had, settings that do not exist. Neither machine is touched by any of it.
pub(super) fn before_anything_is_changed() -> Outcome {
    let bench = Bench::new(2)?;
    let (one, two) = (bench.machine(1)?, bench.machine(2)?);
    let before = [
        fingerprint(&one, Closely::Untouched)?,
        fingerprint(&two, Closely::Untouched)?,
    ];
    let address = one.address().to_string();
    let refused = |hosts: &[&str], more: &[&str], code: i32, words: &[&str]| {
        let hosts: Vec<&str> = ["node2"].iter().chain(hosts).copied().collect();
        says(&bench.create(&hosts, more), code, words);
    };
    refused(
        &["nobody-here@node1"],
        &[],
        1,
        &["nobody-here@node1", "no such user", "authorized_keys"],
    );
    refused(
        &["plain@node1"],
        &[],
        1,
        &["plain@node1", "sudo", "without a password"],
    );
    refused(
        &["node1:2222"],
        &[],
        1,
        &["node1:2222", "refuses connections on port 2222"],
    );
    refused(
        &["no-such-machine.invalid"],
        &[],
        1,
        &["cannot find the address of no-such-machine.invalid"],
    );
    refused(
        &["127.0.1.1"],
        &[],
        1,
        &["127.0.1.1", "this machine itself"],
    );
    refused(&["node1", &address], &[], 1, &["same machine as node1"]);
    refused(
        &["node1", "node1"],
        &[],
        2,
        &["two members have the host node1"],
    );
    refused(
        &["node1"],
        &["--name", "my cluster"],
        2,
        &["my cluster", "letters, digits and hyphens"],
    );
    refused(
        &["node1"],
        &["--storage", "zfs"],
        1,
        &["zfsutils-linux", "contrib"],
    );
    refused(&["node1"], &["--uplink", "eth7"], 1, &["no interface eth7"]);
    refused(
        &["node1"],
        &["--storage", "btrfs", "--storage-source", "/dev/none"],
        1,
        &["no /dev/none"],
    );
    from_a_file(&bench);
    for (machine, before) in [&one, &two].into_iter().zip(&before) {
        same(machine, before, &fingerprint(machine, Closely::Untouched)?)?;
    }
    a_changed_host_key(&bench)?;
    Ok(bench.lab.take_down()?)
}

fn from_a_file(bench: &Bench) {
    let write = |text: &str| fs::write(bench.file("bcm.toml"), text).unwrap();
    let run = || bench.run(&["create", "--dry-run"]);
    write(
        "[cluster]\nname = \"home\"\n[[cluster.member]]\nhost = \"node1\"\nadress = \"10.0.0.1\"\n",
    );
    says(&run(), 2, &["bcm.toml", "adress"]);
    write("[[cluster.member]]\nhost = \"node1\"\nname = \"first.member\"\n");
    says(&run(), 2, &["first.member"]);
    write("[[cluster.member]]\nhost = \"node1\"\naddress = \"127.0.0.1\"\n");
    says(&run(), 2, &["127.0.0.1", "other members can reach"]);
    write("[[cluster.member]]\nhost = \"node1\"\naddress = \"10.99.99.99\"\n");
    says(&run(), 1, &["does not have the address 10.99.99.99"]);
    fs::remove_file(bench.file("bcm.toml")).unwrap();
}

fn a_changed_host_key(bench: &Bench) -> Outcome {
    let one = bench.machine(1)?;
    one.root_script(
        "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh",
        SOON,
    )?;
    one.wait_ssh(SOON)?;
    let new = one.root(
        &["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"],
        SOON,
    )?;
    let fingerprint = new.split(' ').nth(1).unwrap_or_default().to_owned();
    let finished = bench.create(&["node1", "node2"], &[]);
    says(
        &finished,
        1,
        &["node1", "changed", &fingerprint, "known_hosts"],
    );
    // Nor does anything else believe it.
    let finished = bench.create(&["node1"], &["--host-keys", "accept-new"]);
    says(&finished, 1, &["changed"]);
    // Whoever knows the new key may go on with that alone.
    bench
        .create(&["node1"], &["--dry-run", "--host-key", &fingerprint])
        .assert_code(0);
    Ok(())
}

/// Bad input: a disk that is full in the middle of an installation, and then a machine that is in
/// another cluster, and an engine that lacks the tools of a storage driver.
pub(super) fn what_is_there_already() -> Outcome {
    let bench = Bench::new(2)?;
    let one = bench.machine(1)?;
    let fresh = fingerprint(&one, Closely::Restored)?;
    // Every package unpacks something into this folder.
    one.root_script("mount -t tmpfs -o size=64k none /usr/share/doc", SOON)?;
    let finished = bench.create(&["node1"], &["--name", "other"]);
    says(
        &finished,
        1,
        &[
            "node1",
            "could not install LXD",
            "No space left",
            "same command",
        ],
    );
    // Once more while it is full: what the first run left half done is not the reason.
    let finished = bench.create(&["node1"], &["--name", "other"]);
    says(&finished, 1, &["could not install LXD", "No space left"]);
    bench.run(&["destroy", "--yes"]).assert_code(0);
    one.root_script("umount /usr/share/doc", SOON)?;
    same(&one, &fresh, &fingerprint(&one, Closely::Restored)?)?;
    // The same again, and this time it is mended and goes on.
    one.root_script("mount -t tmpfs -o size=64k none /usr/share/doc", SOON)?;
    bench
        .create(&["node1"], &["--name", "other"])
        .assert_code(1);
    one.root_script("umount /usr/share/doc", SOON)?;
    bench
        .create(&["node1"], &["--name", "other"])
        .assert_code(0);

    let two = bench.machine(2)?;
    let before = fingerprint(&two, Closely::Untouched)?;
    let finished = bench.create(&["node2", "node1"], &["--name", "mine"]);
    says(
        &finished,
        1,
        &["node1: it is already in a cluster: other", "cluster remove"],
    );
    let finished = bench.create(&["node1"], &["--name", "other", "--storage", "btrfs"]);
    says(&finished, 1, &["btrfs-progs", "installed without"]);
    same(&two, &before, &fingerprint(&two, Closely::Untouched)?)?;
    // Elsewhere nothing is known of the lab's machines.
    let arguments = create(&["node1"], &["--name", "other"]);
    let finished = Running::start(bench.bare(&arguments)).finish(LIMIT);
    assert_ne!(finished.code(), 0, "{finished}");
    bench
        .run(&["destroy", "--cluster", "other", "--yes"])
        .assert_code(0);
    same(&one, &fresh, &fingerprint(&one, Closely::Restored)?)?;
    Ok(bench.lab.take_down()?)
}
