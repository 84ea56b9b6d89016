//! `bcm stack`.

use std::path::PathBuf;

use bcm_stack::caddy::Mail;
use bcm_stack::domain::Domain;
use clap::{Args, Subcommand};

use crate::settings::key;
use crate::settings::value::Listen;

use super::choices::Certificates;

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
    /// Write files that run the mirror by other means, for you to read and keep
    ///
    /// The mirror's own settings go with them, as bcm.toml and the environment have them.
    #[command(subcommand)]
    Render(RenderCommand),
}

/// `bcm stack render`.
#[derive(Debug, Subcommand)]
pub(crate) enum RenderCommand {
    /// A project for Docker Compose: images, containers, Caddy in front
    ///
    /// The images are made of this very program, which is put beside the files. No container is
    /// privileged or has Docker's socket.
    Compose(ComposeCommand),
    /// Units for systemd on a plain host, and Caddy's file
    Systemd(SystemdCommand),
}

/// `bcm stack render compose`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComposeCommand {
    #[command(flatten)]
    pub(crate) render: RenderArgs,

    /// The image to build from: with apt-get, and no older than the system that `bcm` was built on
    #[arg(long, value_name = "IMAGE", default_value = bcm_stack::render::DEFAULT_BASE)]
    pub(crate) base: String,
}

/// `bcm stack render systemd`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SystemdCommand {
    #[command(flatten)]
    pub(crate) render: RenderArgs,

    /// With `--certificates files`: the chain of certificates, PEM, as Caddy finds it
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<String>,

    /// With `--certificates files`: its key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<String>,
}

/// What all files are made from.
#[derive(Debug, Clone, Args)]
pub(crate) struct RenderArgs {
    /// Where the files go; made where it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// The domain below which the mirror's names are: hub.DOMAIN, bootstrap.DOMAIN and so on
    #[arg(long, value_name = "DOMAIN", value_parser = key::domain)]
    pub(crate) domain: Option<Domain>,

    /// Where certificates come from: a public authority, one of Caddy's own, or files
    #[arg(long, value_enum, value_name = "WHENCE")]
    pub(crate) certificates: Option<Certificates>,

    /// With automatic certificates: where the authority may write to
    #[arg(long, value_name = "ADDRESS", value_parser = key::mail)]
    pub(crate) mail: Option<Mail>,

    /// The folder of the host under which everything is kept
    #[arg(long, value_name = "DIR", default_value = "/srv/bcm")]
    pub(crate) folder: String,

    /// Replace files that are there and different
    #[arg(long)]
    pub(crate) replace: bool,

    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
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
