//! SSH as an onion service.

use std::time::Duration;

use bcm_ssh::onion::OnionAddress;
use bcm_ssh::{Command, Privilege, Remote};

use super::{PrepareError, REFUSED, TORRC, run};

/// The function that sets it up, for the script that prepares a machine.
pub(super) const SERVE: &str = include_str!("serve.sh");

const WAIT: &str = include_str!("wait.sh");

/// How long the script for a console waits.
pub(super) const CONSOLE_LIMIT: Duration = Duration::from_secs(300);

/// What waits until it is announced.
pub(super) fn wait_script(limit: Duration) -> String {
    format!(
        "notes=/var/lib/bcm-host/prepare\nonion_wait={}\n{WAIT}",
        limit.as_secs().max(1)
    )
}

/// Waits until the onion service that [`prepare`](super::prepare) set up can be found, and says where
/// it is. Once it was found, it is not waited for again until something about it changes.
///
/// # Errors
/// [`PrepareError::Silent`] after `limit`, in whole seconds; or the machine cannot be asked.
pub async fn await_onion(
    remote: &dyn Remote,
    limit: Duration,
) -> Result<OnionAddress, PrepareError> {
    let script = format!("{TORRC}\n{}", wait_script(limit));
    let command = Command::script(script, [""; 0])
        .privilege(Privilege::Root)
        .deadline(limit + Duration::from_secs(120));
    let output = remote.run(command.clone()).await?;
    let text = output.stdout_text();
    if output.status == REFUSED
        && let Some((_, silent)) = text.split_once("silent\t")
    {
        let (state, said) = silent.split_once('\n').unwrap_or((silent, ""));
        return Err(PrepareError::Silent {
            host: remote.host().to_owned(),
            limit,
            state: state.to_owned(),
            said: said.trim_end().to_owned(),
        });
    }
    let output = output.or_error(remote.host(), &command)?;
    let text = output.stdout_text();
    text.lines()
        .find_map(|line| line.strip_prefix("onion\t")?.parse().ok())
        .ok_or_else(|| PrepareError::Silent {
            host: remote.host().to_owned(),
            limit,
            state: "its address cannot be read".to_owned(),
            said: text.clone().into(),
        })
}

/// Notes on the machine that the secret half of the client's key is in its owner's hands: it stays
/// until somebody asks for another.
///
/// # Errors
/// The machine could not be asked.
pub async fn onion_given(remote: &dyn Remote) -> Result<(), PrepareError> {
    let script = ": >/var/lib/bcm-host/prepare/onion-given";
    run(remote, script.to_owned()).await.map(|_| ())
}
