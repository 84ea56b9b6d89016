//! `bcm stack`.

use clap::{Args, Subcommand};

use crate::settings::value::Listen;

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

    /// Where the Bootstrap's HTTP server listens; can be repeated
    ///
    /// A Bootstrap is mirrored as well, by what `[bootstrap]` in bcm.toml says of it; without a
    /// word there, only where the hub that is mirrored is the usual one, too.
    #[arg(long, value_name = "ADDRESS", help_heading = "Serving")]
    pub(crate) bootstrap_http: Vec<Listen>,

    #[command(flatten)]
    pub(crate) sync: SyncArgs,

    #[command(flatten)]
    pub(crate) follow: FollowArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,
}
