//! Virtual machines for a cluster, which are then reached over SSH as any other host.
//!
//! A [`Fleet`] is the machines of one cluster, in a folder that only the user may enter. It makes what
//! is missing, starts, stops and takes away, with QEMU or with Multipass, and writes settings for
//! ssh with which the machines have names. It needs no root. [`image`] has the disks that machines
//! start from.
//!
//! With QEMU, a machine's first interface is QEMU's user networking: a port of this machine's
//! loopback leads to its sshd, and its packets go out as this user's. The second joins the
//! cluster's machines: Ethernet over unix sockets in the fleet's folder, from each machine to a
//! switch (a QEMU without a processor that repeats what it gets), so nobody else on this machine can
//! listen or send. Addresses on it never change.
//!
//! What it is **not**: a way to make machines that others are to reach.

mod create;
mod error;
mod fleet;
pub mod image;
mod keys;
mod multipass;
mod power;
mod program;
mod qemu;
mod ssh_config;

pub use create::{Wanted, create, plan};
pub use error::VmError;
pub use fleet::{BRIDGE_NETWORK, Fleet, Node, NodeState, Provider, Resources, USER, host_of};
pub use image::{DebianImage, ImageSource};
pub use multipass::{LaunchPlan, MultipassInfo};
pub use power::{destroy, remove, start, stop};
pub use program::Programs;
pub use qemu::{Accel, QemuMachine, QemuSwitch};
pub use ssh_config::ssh_hosts;

use std::path::PathBuf;
use std::time::Duration;

use bcm_core::progress::SharedProgress;

/// What all operations work with.
#[derive(Clone)]
pub struct VmContext {
    /// Where fleets are kept: BCM's state folder, `vms`. Made where it is not there.
    pub folder: PathBuf,
    /// Where images and the answer of the probe for KVM are kept.
    pub cache: PathBuf,
    /// Where other programs are.
    pub programs: Programs,
    /// How long a machine may take from its start to a word of its sshd. Default
    /// [`BOOT_LIMIT`].
    pub boot_limit: Duration,
    /// How long a machine may take to shut down before its power is cut. Default [`STOP_LIMIT`].
    pub stop_limit: Duration,
    /// Who watches.
    pub progress: SharedProgress,
}

/// How long a machine may take to boot: one that is emulated, on a busy machine, needs minutes.
pub const BOOT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long a machine may take to shut down.
pub const STOP_LIMIT: Duration = Duration::from_secs(3 * 60);
