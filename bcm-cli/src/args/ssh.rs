//! `bcm ssh`.

use std::path::PathBuf;

use bcm_ssh::onion::{OnionAddress, socks::SocksAddress};
use clap::{Args, Subcommand};

use crate::onions::OnionName;

/// Reach machines whose SSH is an onion service
#[derive(Debug, Subcommand)]
pub(crate) enum SshCommand {
    /// Make a machine's onion service known under a name
    ///
    /// From then on, `--host NAME` reaches the machine through Tor wherever a host is named. The
    /// client's key and the settings for ssh are kept in $XDG_STATE_HOME/bcm/onion, where only you may
    /// look; your own ssh_config is read after them and never changed. Adding the same machine again
    /// replaces its key.
    AddOnion(AddCommand),
    /// List the machines that are known so
    ListOnion,
    /// Forget a machine, and take back what was made for it
    RemoveOnion(RemoveCommand),
    /// Log in to such a machine, or run a command there, by ssh
    Connect(ConnectCommand),
    /// What ssh runs to connect: stdin and stdout become the connection
    #[command(hide = true)]
    Proxy {
        /// The machine.
        name: OnionName,
    },
    /// Keeps a Tor of the user's own running as long as it is wanted
    #[command(hide = true)]
    Tor,
}

/// `bcm ssh add-onion`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AddCommand {
    /// What to call the machine: letters, digits, `.`, `_` and `-`
    pub(crate) name: OnionName,

    /// The onion service's address, as `bcm host prepare --onion` shows it
    #[arg(value_name = "ADDRESS.onion")]
    pub(crate) address: OnionAddress,

    /// The user to log in as [default: as ssh has it]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// The port of SSH
    #[arg(long, value_name = "PORT", default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// A file with the client's key; without it, the key is asked for, or read from stdin
    #[arg(long, value_name = "FILE", conflicts_with = "no_key")]
    pub(crate) key_file: Option<PathBuf>,

    /// The service lets everybody in who knows its address
    #[arg(long)]
    pub(crate) no_key: bool,

    /// Connect through a Tor that runs already: ADDRESS:PORT or unix:/PATH
    ///
    /// Without this, BCM starts a Tor of your own when one is wanted, by the program `tor`, and ends it
    /// when it is not wanted any more; it reads $XDG_CONFIG_HOME/bcm/torrc, too, where that is there
    /// (for bridges). A Tor of another's has to be given the key by you: add the folder that is shown
    /// to its torrc as ClientOnionAuthDir.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) socks: Option<SocksAddress>,

    /// Connect through the system's Tor, and give it the key
    ///
    /// By sudo. Its torrc gets a ClientOnionAuthDir where it has none, and `remove-onion` takes that
    /// back. Its SOCKS port is 127.0.0.1:9050 unless --socks says otherwise.
    #[arg(long)]
    pub(crate) system_tor: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm ssh remove-onion`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveCommand {
    /// The machine
    pub(crate) name: OnionName,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm ssh connect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectCommand {
    /// The machine
    pub(crate) name: OnionName,

    /// A command to run there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// The ssh_config to use after BCM's own, instead of the user's own
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
}
