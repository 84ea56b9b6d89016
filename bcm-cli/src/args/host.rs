//! `bcm host`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::autoinstall::AutoinstallCommand;
use super::cluster::{Driver, Engine, ReachArgs, SpecArgs, Storage};

/// Look at machines before they become a cluster
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Show what machines are like, and what would stop a cluster of them
    ///
    /// Looks where `cluster create` looks, and changes nothing. Exit code 4 when something would
    /// stop a cluster.
    Check(CheckCommand),
    /// Make a fresh machine one that a cluster can be made of
    ///
    /// A user who may use sudo, with your key; packages; a clock that is kept; sshd that takes keys
    /// only; on request, an onion service for SSH. Running it again does nothing where nothing is to be done. It notes what it changes in
    /// /var/lib/bcm-host there, and `--undo` takes that back.
    Prepare(PrepareCommand),
    /// Make what installs Ubuntu or Debian on a machine without a question
    ///
    /// Writes the answers to the installer's questions, and a small image that brings them to it. The machine
    /// gets what `bcm host prepare` makes: a user who may use sudo, with your key, and sshd that takes keys only.
    /// No machine is touched; the one that is started with these answers loses what is on its disk.
    Autoinstall(Box<AutoinstallCommand>),
}

/// `bcm host check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckCommand {
    /// The machines: user@host[:port], or `local` for this one
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,

    /// The engine that the cluster would have [default: auto] [bcm.toml: cluster.engine]
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<Engine>,

    /// The storage driver that it would have [default: dir] [bcm.toml: cluster.storage.driver]
    #[arg(long, value_enum, value_name = "DRIVER")]
    storage: Option<Storage>,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

impl CheckCommand {
    /// The cluster that these machines would make.
    pub(crate) fn spec(&self) -> SpecArgs {
        SpecArgs {
            // Whatever the file says of how a cluster is made.
            driver: Some(Driver::Ssh),
            host: self.hosts.clone(),
            engine: self.engine,
            storage: self.storage,
            ..SpecArgs::default()
        }
    }
}

/// `bcm host prepare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PrepareCommand {
    /// The machine, and who may use sudo there: user@host[:port], or `local` for this one
    #[arg(required_unless_present = "print_script", value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// The user to make
    #[arg(long, value_name = "NAME", default_value = "bcm")]
    pub(crate) user: bcm_lxd::host::prepare::UserName,

    /// A file with a public key that may log in as that user; may be given several times [default:
    /// the first of ~/.ssh/id_ed25519.pub, id_ecdsa.pub, id_rsa.pub that there is]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,

    /// The engine whose group the user is put into [default: auto]
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,

    /// Install the programs of this storage driver, too
    #[arg(long, value_enum, value_name = "DRIVER")]
    pub(crate) storage: Option<Storage>,

    /// Leave the clock to others
    #[arg(long)]
    pub(crate) no_time_sync: bool,

    /// Have security updates installed every day
    #[arg(long)]
    pub(crate) unattended_upgrades: bool,

    /// Serve SSH as a Tor onion service, too, which only the holder of a client's key can find
    ///
    /// The key is made here, and the machine sees its public half alone. It is shown once, at the end,
    /// unless --onion-key names a file for it; `bcm ssh add-onion` takes it.
    #[arg(long)]
    pub(crate) onion: bool,

    /// Keep the client's key in this file, which only you may read, instead of showing it
    ///
    /// A key that is there already is used; else one is made.
    #[arg(long, value_name = "FILE", requires = "onion")]
    pub(crate) onion_key: Option<PathBuf>,

    /// Let another client's key take the place of the one that was given before
    #[arg(long, requires = "onion")]
    pub(crate) rotate_onion_key: bool,

    /// How long to wait until the onion service can be found, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, requires = "onion", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) onion_wait: u32,

    /// Take back what was changed
    #[arg(long, conflicts_with_all = ["key", "engine", "storage", "no_time_sync", "unattended_upgrades", "onion"])]
    pub(crate) undo: bool,

    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write the script to stdout, for a machine that is only reached by its console
    #[arg(long, conflicts_with_all = ["host", "dry_run"])]
    pub(crate) print_script: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}
