//! `bcm flist`.

use std::path::PathBuf;

use bcm_hub_sync::flist::{Backend, Owners};
use bcm_hub_sync::zdb::ZdbAddress;
use clap::{Args, Subcommand, ValueEnum};

use super::hub::DataArgs;
use crate::settings::key::zdb_address;
use crate::settings::limits::{LimitChange, limit};
use crate::settings::value;

/// Read, unpack and make flists
#[derive(Debug, Subcommand)]
pub(crate) enum FlistCommand {
    /// List what is in an flist, as `ls -l` does
    ///
    /// Mode, owner, group, bytes (or the numbers of a device), time of modification in UTC, path,
    /// and where a link leads. Directories come before what is in them.
    Ls(LsCommand),
    /// Show what an flist says of itself, and its totals
    ///
    /// Reads the whole tree, so exit code 0 says that it is sound. With `--data`, also counts how
    /// many of its blocks are in that data folder; exit code 4 when some are not.
    Inspect(InspectCommand),
    /// Restore the tree of an flist in a folder
    ///
    /// Files, links, pipes, devices (by root only), modes, times, and owners (by root, unless
    /// `--owners` says otherwise). The blocks come from a data folder, or from a 0-db with
    /// `--from`. Every chunk is checked. Exit code 3: some files could not be restored; they are
    /// named, and what there is of them is removed.
    Unpack(UnpackCommand),
    /// Make an flist of a folder, and put its blocks into a data folder
    ///
    /// The same tree makes the same flist, byte for byte, wherever it is packed, and the same
    /// blocks as upstream's `zflist`. Sockets are left out. Exit code 3: something was left out;
    /// it is named.
    Pack(PackCommand),
}

/// The flist to read.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlistArgs {
    /// The flist, a file
    pub(crate) flist: PathBuf,

    /// Raise or lower a limit for what an flist may cost to read: NAME=NUMBER
    ///
    /// An flist that exceeds a limit is refused. Names and defaults: compressed-bytes 512M,
    /// unpacked-bytes 4G, ratio 200, query-steps 1000000, value-bytes 128M, message-ratio 4,
    /// metadata-rows 1024, metadata-bytes 1M, entries 10000000, blocks 64M, depth 256, path-bytes
    /// 4096. K, M and G are powers of 1,024.
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = limit)]
    pub(crate) limits: Vec<LimitChange>,
}

/// `bcm flist ls`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LsCommand {
    #[command(flatten)]
    pub(crate) flist: FlistArgs,

    /// Only what is at or below this path in the flist
    pub(crate) path: Option<PathBuf>,
}

/// `bcm flist inspect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InspectCommand {
    #[command(flatten)]
    pub(crate) flist: FlistArgs,

    /// Look for its blocks in this data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// `bcm flist unpack`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnpackCommand {
    #[command(flatten)]
    pub(crate) flist: FlistArgs,

    /// The folder to unpack into; created, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Fetch the blocks from this 0-db instead; several are tried in order
    ///
    /// They are kept in a temporary folder beside the one that is unpacked into, until it is
    /// done. What the flist itself names as its backend is never asked unless it is given here.
    #[arg(long, value_name = "zdb://HOST", value_parser = zdb_address, conflicts_with = "data")]
    pub(crate) from: Vec<ZdbAddress>,

    /// Whether owners are restored
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) owners: WhenOwners,
}

/// `bcm flist pack`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PackCommand {
    /// The folder to pack
    pub(crate) folder: PathBuf,

    /// The flist to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Where nodes are to find the blocks, written into the flist
    #[arg(long, value_name = "HOST[:PORT][/NAMESPACE]", value_parser = value::public_backend)]
    pub(crate) backend: Option<Backend>,

    /// More metadata, such as `entrypoint=/sbin/init`; can be repeated
    #[arg(long = "meta", value_name = "NAME=TEXT", value_parser = metadata)]
    pub(crate) metadata: Vec<(String, String)>,

    /// Leave out what cannot be read or has a name that is not UTF-8, instead of failing
    #[arg(long)]
    pub(crate) skip_unreadable: bool,
}

/// Whether owners are restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenOwners {
    /// By root.
    #[default]
    Auto,
    /// Always; what cannot be given away is named.
    Always,
    /// Never: everything belongs to you.
    Never,
}

impl From<WhenOwners> for Owners {
    fn from(when: WhenOwners) -> Self {
        match when {
            WhenOwners::Auto => Self::IfRoot,
            WhenOwners::Always => Self::Restore,
            WhenOwners::Never => Self::Ignore,
        }
    }
}

/// `NAME=TEXT`
pub(crate) fn metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("backend", _)) => Err("the backend is set with --backend".to_owned()),
        Some((name, text)) if !name.is_empty() => Ok((name.to_owned(), text.to_owned())),
        _ => Err(format!("{text:?} is not of the form NAME=TEXT")),
    }
}
