//! `bcm hub snapshot`.

use clap::{Args, Subcommand};

use super::hub::{DataArgs, StoreArgs};

/// Points that the mirror can be taken back to
///
/// Each sync that changes something leaves one, named after its time in UTC. The newest are kept
/// (`hub.snapshots`), and those that are pinned.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List them, the oldest first
    List(DataArgs),
    /// Publish the catalogue as it was, all at once, while clients go on downloading
    ///
    /// The tree as it is now is kept as a snapshot first. Syncs wait afterwards, for the next one
    /// would go forward again; `bcm hub snapshot release` lets them go on.
    Restore(RestoreCommand),
    /// Let syncs go on after a snapshot was restored
    Release(DataArgs),
    /// Keep one until it is unpinned
    Pin(NamedCommand),
    /// Let one expire again
    Unpin(NamedCommand),
    /// Forget one; `bcm hub gc` gives back what only it needed
    Drop(NamedCommand),
}

/// A command on one snapshot.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamedCommand {
    /// The snapshot, as `bcm hub snapshot list` names it
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `bcm hub snapshot restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RestoreCommand {
    #[command(flatten)]
    pub(crate) named: NamedCommand,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Let syncs go on at once
    #[arg(long)]
    pub(crate) no_hold: bool,

    /// Check it and show what would be done, and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
