//! Brings a cluster back that lost its quorum.

use std::fmt;
use std::time::Duration;

use bcm_ssh::{Command, Privilege, RunError};
use futures_util::future::join_all;
use serde::Serialize;

use crate::flavour::Flavour;
use crate::host::{Machine, MachineError, run_ok};

const SCRIPT: &str = include_str!("../host/database.sh");

/// A survivor and how far its database goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Survivor {
    /// The last entry of its log that is certain.
    pub index: u64,
    /// Bytes of entries beyond that.
    pub open_bytes: u64,
    /// The machine.
    pub host: String,
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            open_bytes,
            host,
        } = self;
        write!(
            f,
            "{host}: database up to entry {index}, and {open_bytes} bytes more"
        )
    }
}

/// The cluster could not be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// No machine that answers has a database.
    #[error("none of the machines that answer has the cluster's database")]
    NoSurvivor,
    /// The survivor's database could not be opened for it alone.
    #[error("{host}: its database could not be recovered")]
    Recover {
        /// The machine.
        host: String,
        /// Why.
        source: RunError,
    },
    /// Its engine does not come back.
    #[error(transparent)]
    Engine(#[from] MachineError),
}

/// A cluster that was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The machine that goes on alone.
    pub host: String,
    /// The backup of its database, on that machine.
    pub backup: String,
    /// The members that it does not hear from, which have to be removed.
    pub lost: Vec<String>,
}

/// Finds how far the databases of `machines` go; the newest first.
pub async fn survivors(machines: &[&Machine], flavour: Flavour) -> Vec<Survivor> {
    let asked = machines.iter().map(|machine| async move {
        let command =
            Command::script(SCRIPT, ["position", flavour.as_str()]).privilege(Privilege::Root);
        let output = run_ok(machine.remote().as_ref(), command).await.ok()?;
        let text = output.stdout_text();
        let (index, open_bytes) = text.split_once(' ')?;
        Some(Survivor {
            index: index.parse().ok()?,
            open_bytes: open_bytes.trim().parse().ok()?,
            host: machine.host().to_owned(),
        })
    });
    let mut found: Vec<Survivor> = join_all(asked).await.into_iter().flatten().collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// Backs up the database of `machine`, makes it the only one, and starts the engine again.
///
/// The other members' databases must never be started again: their members have to be removed,
/// and to join anew.
///
/// # Errors
/// The engine's own tool failed (the backup is then in place), or the engine does not come back.
pub async fn recover(machine: &Machine, flavour: Flavour) -> Result<Recovered, RecoverError> {
    let command = Command::script(SCRIPT, ["recover", flavour.as_str()])
        .privilege(Privilege::Root)
        .deadline(Duration::from_secs(300));
    let output = run_ok(machine.remote().as_ref(), command)
        .await
        .map_err(|source| RecoverError::Recover {
            host: machine.host().to_owned(),
            source,
        })?;
    let client = machine.wait_for_engine(flavour).await?;
    let members = client.cluster_members().await.map_err(MachineError::from)?;
    let own = client
        .cluster()
        .await
        .map_err(MachineError::from)?
        .server_name;
    Ok(Recovered {
        host: machine.host().to_owned(),
        backup: output.stdout_text().into_owned(),
        lost: members
            .into_iter()
            .map(|member| member.server_name)
            .filter(|name| *name != own)
            .collect(),
    })
}
