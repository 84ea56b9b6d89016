//! The Tor that leads to them.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bcm_ssh::onion::socks::{InvalidSocksAddress, SocksAddress};
use bcm_ssh::onion::tor::{self, Lease, OwnTor, TorError};

use super::{Onion, Onions, Through};
use crate::environment::Environment;

/// How long Tor may take to find its way. A first time over a slow line takes a minute.
const READY: Duration = Duration::from_secs(180);

/// How long it goes on when nobody wants it: the next command is quicker then.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// What to do where there is no Tor.
pub(crate) const TOR_HINT: &str = "BCM runs the program `tor`, Debian's package tor, for you alone; that package's own service need \
     not run. A Tor that runs already is named with `bcm ssh add-onion --socks`, and bridges in \
     bcm's torrc, beside bcm.toml";

/// The Tor of the user's own.
pub(crate) fn own_tor(environment: &Environment, onions: &Onions) -> OwnTor {
    let tor = OwnTor::new(onions.folder().join("tor"), onions.auth());
    match environment
        .user_config()
        .map(|config| config.with_file_name("torrc"))
    {
        Some(torrc) if torrc.is_file() => tor.include(torrc),
        _ => tor,
    }
}

/// Waits until the Tor that leads to `onion` is ready, as far as that is BCM's business. It is kept
/// running as long as what is returned.
pub(crate) async fn ready(
    environment: &Environment,
    onions: &Onions,
    onion: &Onion,
    say: impl Fn(&str),
) -> Result<Option<Lease>, TorError> {
    if onion.through != Through::OwnTor {
        return Ok(None);
    }
    let tor = own_tor(environment, onions);
    let program = environment.program.clone();
    let start = move || start(&program);
    tor::lease(&tor, start, READY, say).await.map(Some)
}

/// Where the Tor that leads to `onion` takes connections.
pub(crate) fn socks_of(
    environment: &Environment,
    onions: &Onions,
    onion: &Onion,
) -> Result<SocksAddress, InvalidSocksAddress> {
    match &onion.through {
        Through::OwnTor => Ok(own_tor(environment, onions).socks()),
        Through::Socks(address) | Through::SystemTor(address) => address.parse(),
    }
}

/// Starts `bcm ssh tor`, which outlives this process.
fn start(program: &Path) -> io::Result<()> {
    Command::new(program)
        .args(["ssh", "tor"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// Is that process.
pub(crate) async fn keep(environment: &Environment, onions: &Onions) -> Result<(), TorError> {
    // Away from the terminal: a Ctrl-C there, or its end, is for those who use it.
    let _ = rustix::process::setsid();
    tor::keep(&own_tor(environment, onions), IDLE).await
}
