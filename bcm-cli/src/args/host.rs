//! `bcm host`.

use clap::{Args, Subcommand};

use super::cluster::{Engine, ReachArgs, SpecArgs, Storage};

/// Look at machines before they become a cluster
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Show what machines are like, and what would stop a cluster of them
    ///
    /// Looks where `cluster create` looks, and changes nothing. Exit code 4 when something would
    /// stop a cluster.
    Check(CheckCommand),
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
            host: self.hosts.clone(),
            engine: self.engine,
            storage: self.storage,
            ..SpecArgs::default()
        }
    }
}
