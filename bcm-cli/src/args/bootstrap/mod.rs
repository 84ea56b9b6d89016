//! `bcm bootstrap`.

pub(crate) mod image;
pub(crate) mod sync;

use std::path::PathBuf;
use std::time::Duration;

use bcm_bootstrap_sync::ipxe::ServerUrl;
use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::run_mode::RunMode;
use bcm_bootstrap_sync::serve::{Mac, Provision};
use clap::{Args, Subcommand};

use super::hub::DataArgs;
use crate::settings::key::server_url;
use crate::settings::value::{self, Listen};

/// The kernels that nodes boot, and the media that lead a machine to them
#[derive(Debug, Subcommand)]
pub(crate) enum BootstrapCommand {
    /// Make the mirror equal to its upstream
    ///
    /// Fetches new and republished kernels, goes on with downloads that were cut off, and follows
    /// upstream's run modes. Exit code 3: some could not be mirrored; they are named, and the rest
    /// is done.
    Sync(Box<sync::SyncCommand>),
    /// Serve the mirror to nodes and people: kernels, boot scripts, boot media and pages
    ///
    /// Read-only; syncs of other processes are picked up as they publish. Ends at Ctrl-C or
    /// SIGTERM with exit code 0.
    Serve(ServeCommand),
    /// Show what the mirror holds and how its last sync went
    ///
    /// Exit code 3 when the last sync could not mirror everything, 4 when none has run to its end
    /// yet or when the last one is older than `--max-age`.
    Status(StatusCommand),
    /// Prove that the mirror is whole: hash every kernel again, and look at every run mode
    ///
    /// Exit code 4 when something is damaged or missing; each such thing is named.
    Verify(VerifyCommand),
    /// Turn a run mode to a kernel of this mirror
    ///
    /// It stays there until upstream's run mode moves; with `--pin`, whatever upstream does.
    Link(LinkCommand),
    /// Write a boot medium: an ISO image, a USB stick's image, or a file for a boot loader
    ///
    /// Made of a prebuilt iPXE, Debian's package `ipxe`, and a script with the run mode, the farm and the
    /// server; nothing is compiled. The same input makes the same bytes.
    Image(image::ImageCommand),
}

/// `bcm bootstrap serve`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Where to listen; can be repeated
    ///
    /// Nodes ask at port 80. `:80` means every address of this machine, IPv4 and IPv6.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Vec<Listen>,

    /// Answer `/metrics` here, and no longer where everybody asks; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Vec<Listen>,

    /// The server that boot scripts send machines to: http://HOST[:PORT]
    ///
    /// Without it: plain HTTP at the host that was asked, or at `unsecure.HOST` where a proxy says
    /// that it was asked by HTTPS.
    #[arg(long, value_name = "URL", value_parser = server_url)]
    pub(crate) boot_url: Option<ServerUrl>,

    /// The run modes that there are, each NAME or NAME=TITLE
    #[arg(long, value_name = "MODE", value_parser = value::run_mode)]
    pub(crate) run_mode: Vec<(RunMode, String)>,

    /// What a single machine boots: MAC=MODE[/FARM[/ARGUMENTS[/KERNEL]]]
    #[arg(long, value_name = "MAC=…", value_parser = value::provision)]
    pub(crate) provision: Vec<(Mac, Provision)>,

    /// A folder with a prebuilt iPXE; several are tried in order, for each file
    #[arg(long, value_name = "DIR", value_parser = value::path)]
    pub(crate) ipxe_dir: Vec<PathBuf>,
}

/// `bcm bootstrap status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Exit code 4 when the last sync is older than this: 90s, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) max_age: Option<Duration>,
}

/// `bcm bootstrap verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Remove damaged kernels, so that the next sync fetches them again, and turn run modes back
    ///
    /// Without it, nothing is changed.
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `bcm bootstrap link`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LinkCommand {
    /// The run mode: prod, test, dev or qa
    #[arg(value_parser = |text: &str| RunMode::new(text))]
    pub(crate) mode: RunMode,

    /// The kernel
    #[arg(value_parser = |text: &str| KernelName::new(text), required_unless_present = "follow")]
    pub(crate) kernel: Option<KernelName>,

    /// Keep it there, whatever upstream does
    #[arg(long)]
    pub(crate) pin: bool,

    /// Let it lead to what it leads to upstream again
    #[arg(long, conflicts_with_all = ["kernel", "pin"])]
    pub(crate) follow: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}
