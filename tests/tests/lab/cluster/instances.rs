//! Instances on members, as people start them.

use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

use super::bench::{LXC, lxc};
use crate::image::with_image;

/// Makes the image `small` in BCM's project.
pub(super) fn import_image(machine: &Machine) -> Result<(), Failed> {
    let import = "lxc image import image.tar.gz --alias small --project bcm >/dev/null";
    with_image(machine, &format!("{LXC}{import}")).map(|_| ())
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
