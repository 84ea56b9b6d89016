//! `bcm hub`.

use std::path::PathBuf;
use std::time::Duration;

use bcm_core::http::Url;
use bcm_hub_sync::flist::Backend;
use bcm_hub_sync::store::routed::Route;
use bcm_hub_sync::zdb::ZdbAddress;
use clap::{Args, Subcommand};

use super::choices::{Blocks, Flists, Profile};
use super::publishing::{
    AttachCommand, DetachCommand, LinkCommand, PublishCommand, RemoveCommand, RenameCommand,
    TagCommand, TokenCommand,
};
use super::snapshot::SnapshotCommand;
use crate::settings::key::hub_url;
use crate::settings::value::{self, DeleteAfter, Listen};

/// Mirror a Zero-OS Hub, or be one
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Make the mirror equal to its upstream
    ///
    /// Fetches what is new or changed, verifies every byte, and publishes an flist when its last
    /// block is here. Can be stopped at any moment and goes on from there the next time. Exit
    /// code 3: some entries could not be mirrored; they are named, and the rest is done.
    Sync(Box<SyncCommand>),
    /// Serve the mirror to nodes and people: the hub's HTTP API and pages, and its blocks by 0-db's
    /// protocol
    ///
    /// Read-only; syncs of other processes are picked up as they publish. Ends at Ctrl-C or
    /// SIGTERM with exit code 0.
    Serve(ServeCommand),
    /// Show what the mirror holds and how its last sync went
    ///
    /// Exit code 3 when the last sync failed or could not mirror everything, 4 when none has run to
    /// its end yet, when the last that did is older than `--max-age`, or when its state is damaged.
    Status(StatusCommand),
    /// Prove that the mirror is whole
    ///
    /// Hashes every block again, and checks that each published flist is the one that was
    /// published, opens, and has all of its blocks. Exit code 4 when something is damaged or
    /// missing; each such thing is named.
    Verify(Box<VerifyCommand>),
    /// Keep what upstream deletes: add to `hub.pin` in bcm.toml, or list what is there
    ///
    /// What is pinned is followed like everything else, and stays when upstream has it no more.
    /// Takes effect with the next sync.
    Pin(PinCommand),
    /// Let upstream's deletions count again: take out of `hub.pin` in bcm.toml
    Unpin(UnpinCommand),
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Give back the room of blocks that nothing needs any more
    ///
    /// Needed is what a published flist or a snapshot names, and what did until `--grace` ago. While
    /// it runs, no sync does.
    Gc(GcCommand),
    /// Cut the mirror off from its upstream: it stands alone, and can be published into
    ///
    /// What is here stays as it is; nothing is deleted any more, and syncs refuse. The upstream is
    /// forgotten. `bcm hub attach --discard` is the way back.
    Detach(DetachCommand),
    /// Make a hub that stands alone a mirror again
    ///
    /// What was published, changed or removed here is given up, which has to be said with `--discard`;
    /// it is kept as a snapshot. The next sync brings back what upstream has.
    Attach(AttachCommand),
    /// Make an empty data folder a hub without an upstream, which can be published into
    Standalone(DetachCommand),
    /// Publish a folder, an archive or an flist in a hub that stands alone
    ///
    /// A folder and an archive are packed and their blocks stored; an flist is taken as it is when
    /// every block that it names is here. It appears when all of that is on disk.
    Publish(Box<PublishCommand>),
    /// Make a link to an flist, or to a tag
    Link(LinkCommand),
    /// Put a link into a tag, or take one out
    Tag(TagCommand),
    /// Give an flist or a link another name
    Rename(RenameCommand),
    /// Remove an flist, a link, a tag or an empty repository
    ///
    /// Blocks that nothing needs any more go with `bcm hub gc`, after its time of grace.
    Remove(RemoveCommand),
    #[command(subcommand)]
    Token(TokenCommand),
}

/// `bcm hub pin`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PinCommand {
    /// Repositories (`tf-zos`) or what is in them (`alice/*.flist`), as globs; none lists
    #[arg(value_name = "REPO[/NAME]", value_parser = value::glob)]
    pub(crate) patterns: Vec<String>,

    /// Show what bcm.toml would be, and do not write it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm hub unpin`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnpinCommand {
    /// What `bcm hub pin` lists
    #[arg(value_name = "REPO[/NAME]", required = true)]
    pub(crate) patterns: Vec<String>,

    /// Show what bcm.toml would be, and do not write it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm hub gc`.
#[derive(Debug, Clone, Args)]
pub(crate) struct GcCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// How long what is not needed any more is spared: 90s, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) grace: Option<Duration>,

    /// A folder for unpacking flists when the disk of the data folder is full
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,

    /// Where the whole namespace was mirrored, keep only what flists name
    ///
    /// For a mirror that changes from `blocks = "all"` to `closure`.
    #[arg(long)]
    pub(crate) only_named: bool,

    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Where the data is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataArgs {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Where blocks are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StoreArgs {
    /// Keep blocks in this 0-db instead of the data folder; can be repeated
    ///
    /// Several keep a range of keys each, by their first byte: `--store 00-7f=zdb://A --store
    /// 80-ff=zdb://B`. Ranges that overlap are replicas: writes go to all of them, and reads to
    /// the next when one fails. A password is better kept in the variable or in bcm.toml: others
    /// on this machine can read the arguments of a process.
    #[arg(long, value_name = "[00-ff=]zdb://HOST")]
    pub(crate) store: Vec<Route>,
}

/// `bcm hub status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Exit code 4 when the last sync is older than this: 90s, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) max_age: Option<Duration>,

    /// Show the reports of the last N syncs instead: what each did, refused and could not publish
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        default_missing_value = "1",
        conflicts_with = "max_age",
        value_parser = value::count
    )]
    pub(crate) last: Option<usize>,
}

/// `bcm hub verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Remove damaged blocks, so that the next sync fetches them again
    ///
    /// Without it, nothing is changed.
    #[arg(long)]
    pub(crate) remove_damaged: bool,

    /// Mend what is damaged or missing: from the replicas of a routed store, else from the upstream;
    /// then verify once more
    ///
    /// Takes the settings of `bcm hub sync`, and has to be given the same, for it syncs.
    #[arg(long, conflicts_with = "remove_damaged")]
    pub(crate) repair: bool,

    /// A folder for unpacking flists when the disk of the data folder is full
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sync: SyncArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,
}

/// `bcm hub sync`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SyncCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) sync: SyncArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,

    #[command(flatten)]
    pub(crate) follow: FollowArgs,

    /// Go on: sync again and again until Ctrl-C or SIGTERM, which end it with exit code 0
    ///
    /// An upstream that cannot be reached, a full disk or another process at work are waited out.
    /// `bcm hub status` shows how it goes.
    #[arg(long = "follow", conflicts_with = "dry_run")]
    pub(crate) again: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How often to sync.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Following")]
pub(crate) struct FollowArgs {
    /// The pause between two syncs: 90s, 15m, 12h
    #[arg(long, value_name = "TIME", value_parser = value::pause)]
    pub(crate) interval: Option<Duration>,

    /// The share by which that pause is longer or shorter by chance
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    pub(crate) jitter: Option<f64>,

    /// The longest pause while syncs fail; it starts at 15 seconds and doubles
    #[arg(long, value_name = "TIME", value_parser = value::pause)]
    pub(crate) longest_retry: Option<Duration>,

    /// Also sync soon after the upstream's 0-db says that it got blocks: true or false
    #[arg(long, value_name = "SWITCH", value_parser = value::switch)]
    pub(crate) wake: Option<bool>,
}

/// What to mirror, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Mirroring")]
pub(crate) struct SyncArgs {
    /// The hub to mirror; several are tried in order
    #[arg(long, value_name = "URL", value_parser = hub_url)]
    pub(crate) upstream: Vec<Url>,

    /// The 0-db to fetch blocks from; several are tried in order
    ///
    /// A password is better kept in the variable or in bcm.toml: others on this machine can read
    /// the arguments of a process.
    #[arg(long, value_name = "zdb://HOST")]
    pub(crate) upstream_zdb: Vec<ZdbAddress>,

    /// Only repositories whose name matches
    #[arg(long, value_name = "GLOB", value_parser = value::glob)]
    pub(crate) repo: Vec<String>,

    /// Only entries whose name matches
    #[arg(long, value_name = "GLOB", value_parser = value::glob)]
    pub(crate) name: Vec<String>,

    /// A ready-made selection
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,

    /// The most that is downloaded in a second, in bytes: 500k, 10M, 1G
    #[arg(long, value_name = "RATE", value_parser = value::rate)]
    pub(crate) max_rate: Option<u64>,

    /// The most requests to the upstream in a second, of HTTP and of 0-db each
    #[arg(long, value_name = "N", value_parser = value::requests)]
    pub(crate) max_requests: Option<usize>,

    /// Kept although upstream deletes it: a glob over repositories and what is in them
    #[arg(long, value_name = "GLOB", value_parser = value::glob)]
    pub(crate) pin: Vec<String>,

    /// How many snapshots are kept beside those that are pinned; 0 makes none
    #[arg(long, value_name = "N", value_parser = value::count_or_none)]
    pub(crate) snapshots: Option<usize>,

    /// How long what is gone upstream is kept: 90s, 12h, 7d, 2w, never
    #[arg(long, value_name = "TIME")]
    pub(crate) delete_after: Option<DeleteAfter>,

    /// Delete nothing when more than this share of the mirror is missing upstream at once
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    pub(crate) max_delete: Option<f64>,

    /// Which blocks are mirrored
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) blocks: Option<Blocks>,

    /// How flists are published
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) flists: Option<Flists>,

    /// How many HTTP requests to the upstream are under way at a time
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) parallel: Option<usize>,

    /// How many connections to each 0-db blocks are fetched over
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) connections: Option<usize>,

    /// How long a connection to an upstream may take to be made
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long an upstream that is connected to may say nothing
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) timeout: Option<Duration>,

    /// How often a request to an upstream is tried before it counts as failed
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) attempts: Option<usize>,

    /// Look again whether every block of every published flist is here, and fetch what is missing
    ///
    /// A sync does so by itself when the store holds fewer blocks than after the last one. Use it
    /// when `bcm hub verify` found blocks missing.
    #[arg(long)]
    pub(crate) recheck_blocks: bool,
}

/// How this mirror is reached from outside.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PublicArgs {
    /// This mirror's public 0-db address: what `--flists rewritten` writes into flists
    ///
    /// A server names it too where it has to say where blocks are without an flist at hand.
    #[arg(long, value_name = "HOST[:PORT][/NAMESPACE]", value_parser = value::public_backend)]
    pub(crate) backend: Option<Backend>,
}

/// `bcm hub serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,
}

/// Where to listen.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArgs {
    /// Where the hub's HTTP server listens; can be repeated
    ///
    /// `:8080` means every address of this machine, IPv4 and IPv6. Port 0 lets the system pick
    /// one; what was bound is printed.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Vec<Listen>,

    /// Where the 0-db server listens; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) zdb: Vec<Listen>,

    /// Answer `/metrics` here, and no longer where everybody asks; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Vec<Listen>,
    /// In a hub that stands alone: the largest file that is taken over the network
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) max_upload: Option<u64>,

    /// In a hub that stands alone: the most that an archive from the network may unpack to
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) max_unpacked: Option<u64>,

    /// In a hub that stands alone: how long an upload may take
    #[arg(long, value_name = "TIME", value_parser = value::pause)]
    pub(crate) upload_timeout: Option<Duration>,

    /// In a hub that stands alone: how many uploads are taken at the same time
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) uploads: Option<usize>,
}
