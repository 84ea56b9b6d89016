//! What `bcm host autoinstall` writes, read by Debian's own cloud-init and debconf on a fresh machine.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bcm_tests::bcm;
use bcm_tests::lab::Machine;

use crate::shared;
use crate::{Outcome, Test};

pub(crate) const TESTS: &[Test] = &[(
    "autoinstall::cloud_init_finds_the_seed_and_debconf_takes_the_answers",
    cloud_init_finds_the_seed_and_debconf_takes_the_answers,
)];

const SOON: Duration = Duration::from_secs(60);

/// The network and the host keys of a laboratory's machine are to stay as they are, so cloud-init runs no module.
/// The loop device stands in for a stick or a disk; without this configuration cloud-init would find the
/// laboratory's LXD. Where the kernel has no FAT, mtools reads the volume for `mount`.
const READ: &str = r#"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends cloud-init mtools >/dev/null 2>&1
cat >/etc/cloud/cloud.cfg.d/99-test.cfg <<'end'
datasource_list: [NoCloud, None]
network: {config: disabled}
cloud_init_modules: []
end
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
number=$(losetup -f); number=${number#/dev/loop}
[ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number
losetup --read-only /dev/loop$number /tmp/seed.img
trap 'losetup -d /dev/loop$number' EXIT
if ! grep -qw vfat /proc/filesystems; then
    cat >/usr/local/sbin/mount <<'end'
#!/bin/sh
[ "$1 $2 $3 $4" = "-o ro -t auto" ] || exec /usr/bin/mount "$@"
/usr/bin/mount -t tmpfs none "$6" && mcopy -i "$5" -s '::*' "$6"
end
    chmod 755 /usr/local/sbin/mount
fi
PATH=/usr/local/sbin:$PATH
rm -rf /run/cloud-init /var/lib/cloud
/usr/lib/cloud-init/ds-identify --force >/dev/null 2>&1 || true
echo "identified: $(tr -d '\n' </run/cloud-init/cloud.cfg)"
cloud-init init --local >/root/init.log 2>&1
cloud-init init >>/root/init.log 2>&1
cat /root/init.log >&2
echo "source: $(cloud-init query subplatform)"
echo "instance: $(cloud-init query instance_id)"
echo "hostname: $(cloud-init query local_hostname)"
cloud-init query userdata >/root/userdata
printf '\n' | cat /tmp/user-data - >/root/expected
cmp /root/userdata /root/expected && echo "user-data: the same"
cloud-init schema --config-file /tmp/user-data
echo "device: /dev/loop$number"
"#;

fn put(machine: &Machine, file: &Path) -> Outcome {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut ssh = machine.ssh_command("bcm");
    ssh.arg(machine.name()).arg(format!("cat >/tmp/{name}"));
    let status = ssh.stdin(Stdio::from(File::open(file)?)).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name} did not arrive: {status}").into()),
    }
}

fn cloud_init_finds_the_seed_and_debconf_takes_the_answers() -> Outcome {
    let machine = shared::fresh_machine()?;
    let key = shared::lab()?.identity().with_extension("pub");
    let key = key.to_string_lossy();
    let folder = tempfile::tempdir()?;
    let out = folder.path().to_string_lossy();
    for system in ["ubuntu", "debian"] {
        let words = ["--hostname", "seeded", "--root", "btrfs", "--out", &out];
        bcm::run(
            [
                &["host", "autoinstall", "--system", system, "--key", &key][..],
                &words,
                &["--replace"],
            ]
            .concat(),
        )
        .assert_code(0);
        let files: &[&str] = match system {
            "ubuntu" => &["user-data", "seed.img"],
            _ => &["preseed.cfg"],
        };
        for name in files {
            put(&machine, &folder.path().join(name))?;
        }
    }

    let said = machine.root_script(READ, SOON * 5)?;
    println!("{said}");
    let line = |lead: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(lead));
        line.ok_or_else(|| format!("{lead:?} was not said:\n{said}"))
    };
    let device = line("device: ")?;
    assert_eq!(line("identified: ")?, "datasource_list: [ NoCloud, None ]");
    assert_eq!(line("source: ")?, format!("config-disk ({device})"));
    assert_eq!(line("instance: ")?, "install-seeded");
    assert_eq!(line("hostname: ")?, "seeded");
    assert_eq!(line("user-data: ")?, "the same");
    assert!(said.contains("Valid cloud-config"), "{said}");

    // debconf says nothing of a file that it understands.
    let check = "debconf-set-selections --checkonly /tmp/preseed.cfg 2>&1";
    let said = machine.root_script(check, SOON)?;
    assert_eq!(said.trim(), "", "debconf does not take the answers");
    Ok(())
}
