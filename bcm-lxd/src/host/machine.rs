//! A machine that is connected.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_ssh::{Command, ForwardError, Output, Privilege, Remote, RunError};

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::{Flavour, SOCKETS};

use super::facts::HostFacts;
use super::install::{InstallError, install};
use super::parse::{FACTS_SCRIPT, FactsError, parse_facts};
use super::socket::RemoteSocket;
use super::{EnginePackages, SOCKET_WAIT};

const SOCKET_SCRIPT: &str = include_str!("socket.sh");

/// Seconds at most on a machine of its own. An emulated one whose host has other work takes minutes.
const FACTS_LIMIT: Duration = Duration::from_secs(300);

/// A machine, how it is reached, and what is known of it.
#[derive(Clone)]
pub struct Machine {
    host: String,
    remote: Arc<dyn Remote>,
}

/// Nothing could be learnt of a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The machine could not be asked.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its engine's socket could not be reached.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// Its answer is not understood.
    #[error("{host}: its facts could not be read")]
    Facts {
        /// The machine.
        host: String,
        /// Why.
        source: FactsError,
    },
    /// Its engine could not be asked.
    #[error(transparent)]
    Engine(#[from] LxdError),
    /// Its engine could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Its engine does not run.
    #[error("{host}: {flavour} is installed but does not answer; see `journalctl -u {unit}` there", unit = flavour.as_str())]
    NoEngine {
        /// The machine.
        host: String,
        /// The engine.
        flavour: Flavour,
        /// The last error, where there was one.
        source: Option<Box<LxdError>>,
    },
}

impl MachineError {
    /// Whether the machine itself was reached, so that only its engine did not answer.
    #[must_use]
    pub fn reached(&self) -> bool {
        !matches!(self, Self::Run(_))
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Machine").field(&self.host).finish()
    }
}

impl Machine {
    /// The machine that the specification calls `host`, reached through `remote`.
    pub fn new(host: impl Into<String>, remote: Arc<dyn Remote>) -> Self {
        Self {
            host: host.into(),
            remote,
        }
    }

    /// What the specification calls it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How it is reached.
    #[must_use]
    pub fn remote(&self) -> &Arc<dyn Remote> {
        &self.remote
    }

    /// Gathers its facts, and by how many seconds its clock is ahead of this machine's.
    ///
    /// # Errors
    /// It could not be asked, or its answer is not understood.
    pub async fn facts(&self) -> Result<(HostFacts, f64), MachineError> {
        let command = Command::script(FACTS_SCRIPT, [""; 0]).deadline(FACTS_LIMIT);
        let output = run_ok(self.remote.as_ref(), command).await?;
        // The clock is the last thing that the script prints, so the answer's way back is all
        // that the comparison is off by.
        let here = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let facts = parse_facts(&output.stdout_text()).map_err(|source| MachineError::Facts {
            host: self.host.clone(),
            source,
        })?;
        let ahead = facts.clock - here;
        Ok((facts, ahead))
    }

    /// A client of its engine `flavour`; `None` where there is no socket.
    ///
    /// # Errors
    /// There is a socket, and nobody answers.
    pub async fn engine(
        &self,
        flavour: Flavour,
        options: ClientOptions,
    ) -> Result<Option<Client>, MachineError> {
        match self.socket(flavour).await? {
            Some(socket) => Ok(Some(Client::connect_with(socket, options).await?)),
            None => Ok(None),
        }
    }

    /// Its engine's socket, after a short look at the machine; `None` where there is none.
    ///
    /// # Errors
    /// The machine could not be asked, or the socket cannot be reached.
    pub async fn socket(&self, flavour: Flavour) -> Result<Option<RemoteSocket>, MachineError> {
        let paths = SOCKETS.iter().filter(|(of, _)| *of == flavour);
        let command = Command::script(SOCKET_SCRIPT, paths.map(|(_, path)| *path))
            .deadline(Duration::from_secs(30));
        let output = run_ok(self.remote.as_ref(), command).await?;
        let text = output.stdout_text();
        let Some((socket, user)) = text.trim_end().split_once('\n') else {
            return Ok(None);
        };
        let privilege = match user {
            "root" => Privilege::Root,
            _ => Privilege::User,
        };
        let socket = RemoteSocket::open(&self.remote, Path::new(socket), privilege).await?;
        Ok(Some(socket))
    }

    /// Installs its engine and waits until that answers. Running it again finishes what was
    /// interrupted.
    ///
    /// # Errors
    /// The packages could not be installed, or the engine does not come up.
    pub async fn install(
        &self,
        flavour: Flavour,
        from: &EnginePackages,
    ) -> Result<(), MachineError> {
        install(self.remote.as_ref(), &self.host, flavour, from).await?;
        self.wait_for_engine(flavour).await.map(|_| ())
    }

    /// Waits until its engine answers, which it does a moment after it was installed or left a
    /// cluster.
    ///
    /// # Errors
    /// It does not within a minute.
    pub async fn wait_for_engine(&self, flavour: Flavour) -> Result<Client, MachineError> {
        let deadline = tokio::time::Instant::now() + SOCKET_WAIT;
        loop {
            let last = match self.engine(flavour, ClientOptions::default()).await {
                Ok(Some(client)) => return Ok(client),
                Ok(None) => None,
                Err(MachineError::Engine(error)) => Some(Box::new(error)),
                Err(error) => return Err(error),
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(MachineError::NoEngine {
                    host: self.host.clone(),
                    flavour,
                    source: last,
                });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Runs a command that has to succeed.
pub(crate) async fn run_ok(remote: &dyn Remote, command: Command) -> Result<Output, RunError> {
    let output = remote.run(command.clone()).await?;
    output.or_error(remote.host(), &command)
}
