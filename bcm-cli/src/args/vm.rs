//! What virtual machines are like that `bcm cluster create --driver vm` makes.

use std::time::Duration;

use bcm_core::digest::Sha256;
use clap::{Args, ValueEnum};

use crate::settings::value;

/// Virtual machines; the same is in `[cluster.vm]` of `bcm.toml`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Virtual machines, with --driver vm")]
pub(crate) struct VmArgs {
    /// How many machines, 1 to 16; those that are there count [default: 1]
    /// [bcm.toml: cluster.vm.count]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u8>,

    /// Processors of each [default: 2] [bcm.toml: cluster.vm.cpus]
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<u32>,

    /// Memory of each [default: 2G] [bcm.toml: cluster.vm.memory]
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) memory: Option<u64>,

    /// The size that the disk of each may grow to [default: 10G] [bcm.toml: cluster.vm.disk]
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) disk: Option<u64>,

    /// A cloud image to start from, qcow2 or raw, by file or URL [bcm.toml: cluster.vm.image]
    ///
    /// Of Debian or Ubuntu, with cloud-init. Without one, Multipass has images of its own, and for
    /// QEMU, on Debian for amd64, one is built from Debian's packages once and kept in
    /// $XDG_CACHE_HOME/bcm/vm.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) vm_image: Option<String>,

    /// The image's SHA-256; needed with a URL [bcm.toml: cluster.vm.image-sha256]
    #[arg(long, value_name = "HEX")]
    pub(crate) vm_image_sha256: Option<Sha256>,

    /// Who makes the machines [default: auto] [bcm.toml: cluster.vm.provider]
    #[arg(long, value_enum, value_name = "PROVIDER")]
    pub(crate) vm_provider: Option<VmProvider>,

    /// How long a machine may take to boot [default: 10m] [bcm.toml: cluster.vm.timeout]
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) vm_timeout: Option<Duration>,
}

impl VmArgs {
    /// The first of the flags that was given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        [
            (self.count.is_some(), "--count"),
            (self.cpus.is_some(), "--cpus"),
            (self.memory.is_some(), "--memory"),
            (self.disk.is_some(), "--disk"),
            (self.vm_image.is_some(), "--vm-image"),
            (self.vm_image_sha256.is_some(), "--vm-image-sha256"),
            (self.vm_provider.is_some(), "--vm-provider"),
            (self.vm_timeout.is_some(), "--vm-timeout"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }
}

/// Who makes virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VmProvider {
    /// Multipass where it is installed and no image is given, else QEMU
    Auto,
    /// Canonical's Multipass; this was never tried with the real program
    Multipass,
    /// QEMU, with KVM where that works
    Qemu,
}
