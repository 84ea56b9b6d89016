//! `bcm cluster`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::vm::VmArgs;
use crate::settings::value;

/// Make a cluster of LXD or Incus out of a few machines, and look after it
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make a cluster, or finish or grow one
    ///
    /// Looks at every machine first and changes nothing before all of them are fit. Running it
    /// again goes on where it stopped, and does nothing when there is nothing to do.
    Create(CreateCommand),
    /// Show what `create` would do, and do nothing
    Plan(SpecArgs),
    /// List the clusters that this user made
    List,
    /// Choose the cluster that the other commands work on
    Use {
        /// Its name
        name: String,
    },
    /// Show how a cluster is: members, quorum, pools, networks, instances
    ///
    /// Answers within its time limit even when the quorum is lost. Exit code 4 when anything is
    /// wrong.
    Status(StatusCommand),
    /// Show what is known of a cluster without asking its machines
    Show(ReachArgs),
    /// Add machines to a cluster
    Add(AddCommand),
    /// Shut the virtual machines of a cluster down; their disks stay
    Stop(PowerCommand),
    /// Start the virtual machines of a cluster that were stopped
    Start(PowerCommand),
    /// Drain a member and remove it
    Remove(RemoveCommand),
    /// Move a member's instances away and take it out of service
    Evacuate(MemberCommand),
    /// Take a member back into service
    Restore(MemberCommand),
    /// Bring a cluster back that lost its quorum
    ///
    /// Finds the survivor with the newest database, backs it up, and lets it go on alone. The
    /// members that are lost have to be removed afterwards; they must not come back on their own.
    Recover(ConfirmedCommand),
    /// Remove everything in BCM's project; the cluster stays
    Clear(ConfirmedCommand),
    /// Take a cluster away: instances, pools, bridges, and the packages that BCM installed
    Destroy(DestroyCommand),
}

/// How machines are reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reaching the machines")]
pub(crate) struct ReachArgs {
    /// A cluster that `bcm cluster list` shows, instead of the one in use
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,

    /// The ssh_config to use, instead of the user's own
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,

    /// What to do about host keys that are not known yet
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) host_keys: HostKeys,

    /// The only host key that is right, as in a public key file, or its SHA256 fingerprint
    #[arg(long, value_name = "KEY", conflicts_with = "host_keys")]
    pub(crate) host_key: Option<String>,
}

/// What to do about host keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeys {
    /// A key must be known already
    #[default]
    Strict,
    /// A new machine's key is noted and its fingerprint shown; a changed key is refused
    AcceptNew,
}

/// What cluster is wanted; the rest is in `[cluster]` of `bcm.toml`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SpecArgs {
    /// The cluster's name [default: bcm] [bcm.toml: cluster.name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Where the members are: this machine itself, machines over SSH, or virtual machines that are
    /// made [bcm.toml: cluster.driver]
    #[arg(long, value_enum, value_name = "DRIVER")]
    pub(crate) driver: Option<Driver>,

    /// A machine: user@host[:port]; may be given several times [bcm.toml: cluster.member.host]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,

    /// Which engine [default: auto] [bcm.toml: cluster.engine]
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,

    /// The storage pool's driver [default: dir] [bcm.toml: cluster.storage.driver]
    #[arg(long, value_enum, value_name = "DRIVER")]
    pub(crate) storage: Option<Storage>,

    /// The size of the file that the pool is kept in, such as 20GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) storage_size: Option<String>,

    /// An empty disk or partition of every machine for the pool
    #[arg(long, value_name = "PATH")]
    pub(crate) storage_source: Option<String>,

    /// The bridge's name [default: bcmbr0] [bcm.toml: cluster.network.bridge]
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: Option<String>,

    /// An interface of every machine to put instances onto, instead of a bridge
    #[arg(long, value_name = "INTERFACE", conflicts_with = "bridge")]
    pub(crate) uplink: Option<String>,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,

    #[command(flatten)]
    pub(crate) vm: VmArgs,
}

/// How machines are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// This machine
    Local,
    /// Machines that are given with --host
    Ssh,
    /// Virtual machines that BCM makes on this one, with Multipass or QEMU
    Vm,
}

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// LXD
    Lxd,
    /// Incus
    Incus,
    /// What is there, or what all machines can get
    Auto,
}

/// A storage driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    /// Folders
    Dir,
    /// btrfs
    Btrfs,
    /// ZFS
    Zfs,
    /// LVM
    Lvm,
}

/// `bcm cluster create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateCommand {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm cluster add`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AddCommand {
    /// The machines: user@host[:port]
    #[arg(required = true, value_name = "HOST")]
    pub(crate) hosts: Vec<String>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm cluster status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusCommand {
    /// How long to wait for a machine [default: 5s, for virtual machines 60s]
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm cluster stop` and `start`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PowerCommand {
    /// A cluster that `bcm cluster list` shows, instead of the one in use
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,

    /// How long a machine may take to boot, or to shut down before its power is cut [default: 10m
    /// to boot, 3m to shut down]
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// A command about one member.
#[derive(Debug, Clone, Args)]
pub(crate) struct MemberCommand {
    /// The member's name
    pub(crate) member: String,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm cluster remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveCommand {
    /// The member's name
    pub(crate) member: String,

    /// Remove a member that does not answer; what is on it is lost
    #[arg(long)]
    pub(crate) force: bool,

    /// Leave the engine on the machine
    #[arg(long)]
    pub(crate) keep_engine: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// A command that asks first.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfirmedCommand {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm cluster destroy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DestroyCommand {
    #[command(flatten)]
    pub(crate) confirmed: ConfirmedCommand,

    /// Leave the engine on the machines
    #[arg(long)]
    pub(crate) keep_engine: bool,

    /// Only these machines: for what an earlier destroy could not reach
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
}
