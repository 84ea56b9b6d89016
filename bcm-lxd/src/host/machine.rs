//! A machine that is connected.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_ssh::{Command, ForwardError, Output, Privilege, Remote, RunError};

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;

use super::facts::{HostFacts, SudoState};
use super::install::{InstallError, install};
use super::parse::{FACTS_SCRIPT, FactsError, parse_facts};
use super::socket::RemoteSocket;
use super::{EnginePackages, SOCKET_WAIT};

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
        let command = Command::script(FACTS_SCRIPT, [""; 0]).deadline(Duration::from_secs(120));
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
        facts: &HostFacts,
        flavour: Flavour,
        options: ClientOptions,
    ) -> Result<Option<Client>, MachineError> {
        let Some(socket) = facts.engines.get(&flavour).and_then(|e| e.socket.clone()) else {
            return Ok(None);
        };
        self.connect(&socket, facts.sudo, options).await.map(Some)
    }

    async fn connect(
        &self,
        socket: &str,
        sudo: SudoState,
        options: ClientOptions,
    ) -> Result<Client, MachineError> {
        let privilege = match sudo {
            SudoState::Passwordless => Privilege::Root,
            _ => Privilege::User,
        };
        let socket = RemoteSocket::open(self.remote.as_ref(), Path::new(socket), privilege).await?;
        Ok(Client::connect_with(socket, options).await?)
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
            let (facts, _) = self.facts().await?;
            let last = match self.engine(&facts, flavour, ClientOptions::default()).await {
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
