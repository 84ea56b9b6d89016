//! `bcm stack`.

use clap::{Args, Subcommand};

use super::hub::{DataArgs, FollowArgs, PublicArgs, ServeArgs, StoreArgs, SyncArgs};

/// Run everything together
#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// Sync and serve in one process
    ///
    /// Serves at once what the data folder holds, syncs with live progress while serving, prints
    /// the URLs and what was done, and goes on serving and syncing until Ctrl-C or SIGTERM, which
    /// end it with exit code 0.
    Start(Box<StartCommand>),
}

/// `bcm stack start`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartCommand {
    /// On this machine, in this process
    ///
    /// Required for now: starting the stack on a cluster is not there yet.
    #[arg(long)]
    pub(crate) here: bool,

    /// Mirror a small made-up hub that this process starts itself: offline, in seconds
    ///
    /// Packs a few small trees on the spot, serves them as an upstream hub would, and mirrors
    /// that, and verifies the mirror. Listens on loopback, and keeps its data in a temporary folder unless `--data` is
    /// given.
    #[arg(long, conflicts_with_all = ["upstream", "upstream_zdb"])]
    pub(crate) demo: bool,

    /// End after the first sync, with its exit code
    #[arg(long)]
    pub(crate) once: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    #[command(flatten)]
    pub(crate) sync: SyncArgs,

    #[command(flatten)]
    pub(crate) follow: FollowArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,
}
