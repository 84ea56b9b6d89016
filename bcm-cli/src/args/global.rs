//! Arguments that every command has.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::choices::Output;

/// Arguments that every command has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalArgs {
    /// How results and messages are written
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        global = true,
        hide_possible_values = true
    )]
    pub(crate) output: Option<Output>,

    /// Only warnings and errors on stderr
    #[arg(long, short, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,

    /// Say more on stderr; twice for yet more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// The configuration file, instead of ./bcm.toml or the user's own
    ///
    /// Without it: `bcm.toml` in the current folder where there is one, else
    /// `$XDG_CONFIG_HOME/bcm/bcm.toml`. [variable: BCM_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}
