//! Makes a fresh machine one that a cluster can be made of, and takes that back.
//!
//! One script does it, which can be read before it runs, and run by hand where a machine is only
//! reached by its console: [`PrepareSpec::script`]. It notes on the machine what it changes, before
//! it does, in `/var/lib/bcm-host/prepare`.

use std::time::Duration;

use bcm_ssh::{Command, Privilege, Remote, RunError};
use serde::Serialize;

use super::install::PACKAGES;
use super::torrc::TORRC;

mod onion;
mod spec;

pub use bcm_core::login::{InvalidKey, InvalidUser, PublicKey, UserName};
pub use onion::{await_onion, onion_given};
pub use spec::{OnionSpec, PrepareSpec};

const PREPARE: &str = include_str!("prepare.sh");
const UNDO: &str = include_str!("undo.sh");

/// Packages may have to come over a slow line.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The exit status with which the scripts refuse.
const REFUSED: i32 = 9;

/// Whether changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Say what would be changed.
    DryRun,
    /// Change it. Unless [`confirm`] follows within two minutes, sshd's settings are taken back.
    Apply,
}

/// What was changed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Prepared {
    /// The changes in words, in their order.
    pub changes: Vec<String>,
    /// What was left as it is, and why.
    pub kept: Vec<String>,
    /// Whose key opens the onion service, where one was wanted.
    #[serde(skip)]
    pub client: Option<OnionClient>,
}

/// Whose key opens the onion service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnionClient {
    /// The wanted one, since this run.
    New,
    /// The wanted one, since before.
    Same,
    /// Another one, which was given to somebody before and not to be replaced.
    Kept,
}

/// A machine could not be prepared, or that not be taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The script could not be run to its end. Running it again goes on from there.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A step failed. Running it again goes on from there.
    #[error("{host}: could not {step}: {said}")]
    Step {
        /// The machine.
        host: String,
        /// The step.
        step: String,
        /// What was said.
        said: String,
        /// What it had changed by then.
        changed: Vec<String>,
    },
    /// The script refused to go on.
    #[error("{host}: {why}")]
    Refused {
        /// The machine.
        host: String,
        /// What it said.
        why: String,
        /// What it had changed by then.
        changed: Vec<String>,
    },
    /// The onion service is set up, and nobody can find it yet.
    #[error(
        "{host}: the onion service was not announced within {} s: {state}{}",
        limit.as_secs(),
        last_words(said)
    )]
    Silent {
        /// The machine.
        host: String,
        /// The deadline.
        limit: Duration,
        /// How far Tor came.
        state: String,
        /// What Tor said last.
        said: String,
    },
}

fn last_words(said: &str) -> String {
    match said.trim() {
        "" => String::new(),
        said => format!("; Tor said last:\n{said}"),
    }
}

impl PrepareSpec {
    /// The whole script, for `sh` as root on the machine's console. Where nobody can be locked
    /// out, nothing has to be confirmed.
    #[must_use]
    pub fn script(&self) -> String {
        format!(
            "#!/bin/sh\n# Prepares this machine for BCM. Run it as root; run it again as often as you like.\n\
             {}{PACKAGES}\n{TORRC}\n{}\n{PREPARE}\n{}",
            self.variables(Mode::Apply, false),
            onion::SERVE,
            match self.onion {
                Some(_) => onion::wait_script(onion::CONSOLE_LIMIT),
                None => String::new(),
            }
        )
    }

    /// The whole script that takes back what [`PrepareSpec::script`] did.
    #[must_use]
    pub fn undo_script() -> String {
        format!(
            "#!/bin/sh\n# Takes back what preparing this machine for BCM changed. Run it as root.\n\
             dry=no\n{PACKAGES}\n{TORRC}\n{UNDO}"
        )
    }
}

/// Prepares a machine.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    remote: &dyn Remote,
    spec: &PrepareSpec,
    mode: Mode,
) -> Result<Prepared, PrepareError> {
    let script = format!(
        "{}{PACKAGES}\n{TORRC}\n{}\n{PREPARE}",
        spec.variables(mode, true),
        onion::SERVE
    );
    run(remote, script).await
}

/// Says that a new connection to the machine could be made after [`prepare`]: sshd's settings stay.
///
/// # Errors
/// The machine could not be asked.
pub async fn confirm(remote: &dyn Remote) -> Result<(), PrepareError> {
    let script = "systemctl stop bcm-sshd-rollback.timer >/dev/null 2>&1 || true";
    run(remote, script.to_owned()).await.map(|_| ())
}

/// Takes back what [`prepare`] changed on a machine.
///
/// # Errors
/// See [`PrepareError`].
pub async fn undo(remote: &dyn Remote, mode: Mode) -> Result<Prepared, PrepareError> {
    let dry = match mode {
        Mode::DryRun => "yes",
        Mode::Apply => "no",
    };
    run(remote, format!("dry={dry}\n{PACKAGES}\n{TORRC}\n{UNDO}")).await
}

async fn run(remote: &dyn Remote, script: String) -> Result<Prepared, PrepareError> {
    let command = Command::script(script, [""; 0])
        .privilege(Privilege::Root)
        .deadline(LIMIT);
    let output = remote.run(command.clone()).await?;
    let (mut prepared, refused) = parse(&output.stdout_text());
    if output.status == REFUSED
        && let Some(why) = refused
    {
        return Err(PrepareError::Refused {
            host: remote.host().to_owned(),
            why,
            changed: prepared.changes,
        });
    }
    match output.or_error(remote.host(), &command) {
        Ok(_) => Ok(prepared),
        // It says what it does before it does it.
        Err(RunError::Failed { host, said, .. }) if !prepared.changes.is_empty() => {
            Err(PrepareError::Step {
                step: prepared.changes.pop().unwrap_or_default(),
                host,
                said,
                changed: prepared.changes,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn parse(stdout: &str) -> (Prepared, Option<String>) {
    let mut prepared = Prepared::default();
    let mut refused = None;
    for line in stdout.lines() {
        match line.split_once('\t') {
            Some(("did" | "would", what)) => prepared.changes.push(what.trim().to_owned()),
            Some(("kept", what)) => prepared.kept.push(what.to_owned()),
            Some(("client", "new")) => prepared.client = Some(OnionClient::New),
            Some(("client", "same")) => prepared.client = Some(OnionClient::Same),
            Some(("client", "kept")) => prepared.client = Some(OnionClient::Kept),
            Some(("refused", why)) => refused = Some(why.to_owned()),
            // What sshd and others say goes on over several lines.
            None => {
                if let Some(why) = &mut refused {
                    why.push('\n');
                    why.push_str(line);
                }
            }
            Some(_) => {}
        }
    }
    (prepared, refused)
}

#[cfg(test)]
mod tests;
