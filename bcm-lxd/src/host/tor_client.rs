//! Clients' keys of onion services in the hands of a machine's own Tor.
//!
//! They are files in a folder that its torrc names, which is changed where it names none. What was
//! changed is noted in `/var/lib/bcm-host/tor-client` there.

use std::time::Duration;

use bcm_ssh::onion::{ClientKey, OnionAddress};
use bcm_ssh::{Command, Privilege, Remote, RunError};

use super::install::PACKAGES;
use super::torrc::TORRC;

const SCRIPT: &str = include_str!("tor_client.sh");

const LIMIT: Duration = Duration::from_secs(120);

/// The exit status with which the script refuses.
const REFUSED: i32 = 9;

/// A Tor's keys could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorClientError {
    /// It cannot be worked on.
    #[error("could not change the keys of the Tor of {host}")]
    Run {
        /// The machine.
        host: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// It would not be right.
    #[error("the Tor of {host} was left as it was: {why}")]
    Refused {
        /// The machine.
        host: String,
        /// Why not.
        why: String,
    },
}

/// Gives the machine's Tor the key of a service, under a name of letters, digits, `.`, `_` and `-`.
///
/// # Errors
/// See [`TorClientError`].
pub async fn authorise(
    remote: &dyn Remote,
    name: &str,
    address: &OnionAddress,
    key: &ClientKey,
) -> Result<(), TorClientError> {
    run(remote, "add", name, key.auth_private(address).as_bytes()).await
}

/// Takes the key of that name away, and with the last one what was changed for them.
///
/// # Errors
/// See [`TorClientError`].
pub async fn forget(remote: &dyn Remote, name: &str) -> Result<(), TorClientError> {
    run(remote, "remove", name, b"").await
}

async fn run(
    remote: &dyn Remote,
    what: &str,
    name: &str,
    stdin: &[u8],
) -> Result<(), TorClientError> {
    let command = Command::script(format!("{PACKAGES}\n{TORRC}\n{SCRIPT}"), [what, name])
        .stdin(stdin)
        .privilege(Privilege::Root)
        .deadline(LIMIT);
    let host = || remote.host().to_owned();
    let failed = |source| TorClientError::Run {
        host: host(),
        source,
    };
    let output = remote.run(command.clone()).await.map_err(failed)?;
    if output.status == REFUSED
        && let Some((_, why)) = output.stdout_text().split_once("refused\t")
    {
        return Err(TorClientError::Refused {
            host: host(),
            why: why.to_owned(),
        });
    }
    let host = remote.host();
    output.or_error(host, &command).map_err(failed).map(|_| ())
}
