//! Instances without an image server: an image of one static program.

use std::time::Duration;

use base64::Engine;
use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

/// Leaves `image.tar.gz` in the working folder, made of Debian's static busybox, which is fetched
/// and not installed. Its first process asks for an address, and waits.
const BUILD: &str = r#"
folder=$(mktemp -d /run/image.XXXXXX)
cd "$folder"
chmod 755 .
apt-get download -q busybox-static >/dev/null 2>&1
dpkg -x busybox-static_*.deb packed
mkdir -p rootfs/bin rootfs/sbin rootfs/etc rootfs/dev rootfs/proc rootfs/sys rootfs/run rootfs/tmp
# Releases differ in whether /bin is a folder of its own.
find packed -name busybox -type f -perm -u+x -exec mv {} rootfs/bin/busybox ';'
for name in sh ip cat echo hostname sleep stat; do ln -s busybox rootfs/bin/$name; done
cat >rootfs/etc/address.sh <<'END'
#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface"
END
cat >rootfs/sbin/init <<'END'
#!/bin/sh
trap 'exit 0' PWR TERM INT
ip link set eth0 up 2>/dev/null
/bin/busybox udhcpc -f -q -i eth0 -s /etc/address.sh -t 20 -T 1 >/run/udhcpc.log 2>&1
while :; do /bin/busybox sleep 1; done
END
chmod 755 rootfs/etc/address.sh rootfs/sbin/init
printf 'architecture: %s\ncreation_date: 1700000000\nproperties:\n  description: busybox\n' \
    "$(uname -m)" >metadata.yaml
tar -czf image.tar.gz metadata.yaml rootfs
"#;

const CLEAN: &str = "cd /\nrm -rf \"$folder\"\n";

/// What a script says that finds the image as `image.tar.gz`; it runs as root of `machine`.
pub(crate) fn with_image(machine: &Machine, script: &str) -> Result<String, Failed> {
    let script = format!("{BUILD}{script}\n{CLEAN}");
    Ok(machine.root_script(&script, Duration::from_secs(300))?)
}

/// The image's bytes.
pub(crate) fn bytes(machine: &Machine) -> Result<Vec<u8>, Failed> {
    let text = with_image(machine, "base64 -w0 image.tar.gz")?;
    Ok(base64::engine::general_purpose::STANDARD.decode(text.trim())?)
}
