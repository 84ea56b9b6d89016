//! Instances without an image server: an image of one static program.

use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

use super::bench::lxc;

/// Builds an image out of Debian's static busybox, which is fetched and not installed, and imports
/// it. Its first process asks for an address, and waits.
const IMAGE: &str = r#"
folder=$(mktemp -d /run/image.XXXXXX)
cd "$folder"
chmod 755 .
apt-get download -q busybox-static >/dev/null 2>&1
dpkg -x busybox-static_*.deb packed
mkdir -p rootfs/bin rootfs/sbin rootfs/etc rootfs/dev rootfs/proc rootfs/sys rootfs/run rootfs/tmp
mv packed/bin/busybox rootfs/bin/busybox
for name in sh ip cat echo hostname; do ln -s busybox rootfs/bin/$name; done
cat >rootfs/etc/address.sh <<'END'
#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface"
END
cat >rootfs/sbin/init <<'END'
#!/bin/sh
trap 'exit 0' PWR TERM INT
ip link set eth0 up
/bin/busybox udhcpc -f -q -i eth0 -s /etc/address.sh -t 20 -T 1 >/run/udhcpc.log 2>&1
while :; do /bin/busybox sleep 1; done
END
chmod 755 rootfs/etc/address.sh rootfs/sbin/init
printf 'architecture: %s\ncreation_date: 1700000000\nproperties:\n  description: busybox\n' \
    "$(uname -m)" >metadata.yaml
tar -czf image.tar.gz metadata.yaml rootfs
lxc image import image.tar.gz --alias small --project bcm >/dev/null
cd /
rm -rf "$folder"
"#;

/// Makes the image `small` in BCM's project.
pub(super) fn import_image(machine: &Machine) -> Result<(), Failed> {
    lxc(machine, IMAGE).map(|_| ())
}

/// Starts an instance in BCM's project on a member, and waits until the bridge there gave it an
/// address.
pub(super) fn launch(machine: &Machine, name: &str, member: &str) -> Result<(), Failed> {
    let script = format!(
        "lxc launch small {name} --project bcm --target {member} --quiet\n\
         for _ in $(seq 60); do\n\
         if lxc exec {name} --project bcm -- ip addr show eth0 | grep -q 'inet '; then exit 0; fi\n\
         sleep 0.5\n\
         done\n\
         lxc exec {name} --project bcm -- sh -c 'ip addr; cat /run/udhcpc.log' >&2\n\
         exit 1\n"
    );
    lxc(machine, &script).map(|_| ())
}

/// Instances of BCM's project: name, state and member.
pub(super) fn instances(machine: &Machine) -> Result<Vec<String>, Failed> {
    let list = lxc(machine, "lxc list --project bcm --format csv --columns nsL")?;
    Ok(list.lines().map(str::to_owned).collect())
}
