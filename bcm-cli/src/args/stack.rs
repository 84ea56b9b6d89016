//! `bcm stack`.

use std::path::PathBuf;
use std::time::Duration;

use bcm_stack::caddy::Mail;
use bcm_stack::domain::Domain;
use clap::{Args, Subcommand};

use crate::settings::key;
use crate::settings::value::{self, Listen};

use super::choices::{Certificates, HubIs};

use super::cluster::{ConfirmedCommand, ReachArgs};
use super::hub::{DataArgs, FollowArgs, PublicArgs, ServeArgs, StoreArgs, SyncArgs};

/// Run everything together
#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// Bring a stack onto the cluster in use, or make it as it should be; or run it here
    ///
    /// On a cluster: places instances over the members, gives each its program, settings and volume, and
    /// puts TLS in front. Running it again changes only what differs, one replica at a time, and takes a
    /// change back that a replica does not get well with.
    ///
    /// With --here: serves at once what the data folder holds, syncs with live progress while serving,
    /// prints the URLs and what was done, and goes on serving and syncing until Ctrl-C or SIGTERM,
    /// which end it with exit code 0.
    Start(Box<StartCommand>),
    /// Show how a stack on the cluster is: its replicas, what they hold, their room
    ///
    /// Exit code 4 when a replica is not well, or its member does not answer.
    Status(OfClusterCommand),
    /// Print what a stack's instances wrote to their journals
    Logs(LogsCommand),
    /// Run `bcm` in a replica, as the user and with the settings of its mirror
    ///
    /// For what is done where the data is: `bcm stack run -- hub token create --repository NAME`,
    /// `bcm stack run -- hub verify`. Ends with the exit code that it ends with there.
    Run(RunCommand),
    /// List the stacks that can be started: BCM's own and those in the user's folder
    List(ListCommand),
    /// Stop a stack's instances; `start` starts them again
    Stop(OfClusterCommand),
    /// Take a stack's instances away
    ///
    /// Its volumes stay, and the next start uses them again.
    Remove(RemoveCommand),
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

/// A stack on the cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct OfClusterCommand {
    #[command(flatten)]
    pub(crate) stack: StackArgs,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// Which stack.
#[derive(Debug, Clone, Args)]
pub(crate) struct StackArgs {
    /// The stack: `mirror`, `hub`, `bootstrap`, or one of your own
    #[arg(id = "stack", value_name = "STACK", default_value = "mirror")]
    pub(crate) name: String,

    /// The folder with manifests of your own [default: the folder `stacks` beside the user's bcm.toml]
    #[arg(long, value_name = "DIR")]
    pub(crate) stacks: Option<PathBuf>,
}

/// `bcm stack list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListCommand {
    /// The folder with manifests of your own [default: the folder `stacks` beside the user's bcm.toml]
    #[arg(long, value_name = "DIR")]
    pub(crate) stacks: Option<PathBuf>,
}

/// `bcm stack logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogsCommand {
    #[command(flatten)]
    pub(crate) stack: StackArgs,

    /// Only this instance, or all of this kind; can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Vec<String>,

    /// So many of the last lines of each
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) lines: u32,

    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm stack run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    pub(crate) stack: StackArgs,

    /// The instance [default: the first replica]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,

    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = value::pause)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,

    /// What comes after `bcm`
    #[arg(last = true, required = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// `bcm stack remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveCommand {
    #[command(flatten)]
    pub(crate) stack: StackArgs,

    /// Its volumes as well: what was mirrored, certificates, everything
    #[arg(long)]
    pub(crate) volumes: bool,

    #[command(flatten)]
    pub(crate) confirmed: ConfirmedCommand,
}

/// What a stack on a cluster is started with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "On the cluster")]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) stack: StackArgs,

    /// The domain below which the mirror's names are: hub.DOMAIN, bootstrap.DOMAIN and so on
    #[arg(long, value_name = "DOMAIN", value_parser = key::domain)]
    pub(crate) domain: Option<Domain>,

    /// Where certificates come from: a public authority, one of the mirror's own, or files
    #[arg(long, value_enum, value_name = "WHENCE")]
    pub(crate) certificates: Option<Certificates>,

    /// With automatic certificates: where the authority may write to
    #[arg(long, value_name = "ADDRESS", value_parser = key::mail)]
    pub(crate) mail: Option<Mail>,

    /// With `--certificates files`: the chain of certificates, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,

    /// With `--certificates files`: its key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,

    /// One replica of each kind, all on one member
    #[arg(long)]
    pub(crate) standalone: bool,

    /// What the Hub is [default: what it was, at first a mirror]
    ///
    /// One that stands alone takes what is published at its first replica, where `bcm stack run -- hub token
    /// create` makes tokens for it; the others mirror that one.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<HubIs>,

    /// With `--mode mirror`, for a Hub that stands alone: give up what was published into it
    #[arg(long, requires = "mode")]
    pub(crate) discard: bool,

    /// The image of the instances: an alias in the cluster, the file of an image, or `images:ALIAS` from the
    /// engine's server of images, such as images:debian/12
    ///
    /// Without it, one is built on a member from Debian's packages, once.
    #[arg(long, value_name = "FILE|ALIAS")]
    pub(crate) image: Option<String>,

    /// The program `bcm` for the instances, instead of this one: for members of another architecture, or to
    /// go back to an older one
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,

    /// Go on although a member has less than the stack should have
    #[arg(long)]
    pub(crate) ignore_requirements: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `bcm stack start`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartCommand {
    #[command(flatten)]
    pub(crate) deploy: DeployArgs,

    /// On this machine, in this process, instead of on the cluster
    #[arg(
        long,
        help_heading = "Here",
        conflicts_with_all = [
            "domain", "certificates", "mail", "certificate", "key", "standalone", "image", "program",
            "ignore_requirements", "dry_run", "mode", "discard", "cluster", "ssh_config", "host_key", "stacks",
        ]
    )]
    pub(crate) here: bool,

    /// Mirror a small made-up hub that this process starts itself: offline, in seconds
    ///
    /// Packs a few small trees on the spot, serves them as an upstream hub would, and mirrors
    /// that, and verifies the mirror. Listens on loopback, and keeps its data in a temporary folder unless `--data` is
    /// given.
    #[arg(long, help_heading = "Here", requires = "here", conflicts_with_all = ["upstream", "upstream_zdb"])]
    pub(crate) demo: bool,

    /// End after the first sync, with its exit code
    #[arg(long, help_heading = "Here", requires = "here")]
    pub(crate) once: bool,

    /// The Hub alone
    #[arg(
        long,
        help_heading = "Here",
        requires = "here",
        conflicts_with = "bootstrap_http"
    )]
    pub(crate) without_bootstrap: bool,

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
