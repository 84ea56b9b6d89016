//! `bcm config`.

use clap::Subcommand;

/// Read and change settings
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show what a setting is, or all of them, and where that comes from
    Get {
        /// The setting, such as `hub.upstream`; all without it
        key: Option<String>,
    },
    /// Write a setting into bcm.toml; comments and order of the file stay
    Set {
        /// The setting, such as `hub.upstream`
        key: String,
        /// Its value; several for a setting that takes several
        #[arg(required = true)]
        values: Vec<String>,
        /// Show the file that would be written, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show which bcm.toml is used
    Path,
}
