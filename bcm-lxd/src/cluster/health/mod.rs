//! How a cluster is.

mod ask;
mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use crate::flavour::Flavour;
use crate::host::Machine;

use ask::{Answer, ask};
use judge::judge;

/// How a cluster is, from what could be reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Whether nothing is wrong: what decides the exit code.
    pub healthy: bool,
    /// Whether the cluster's database answers. Without it nothing in the cluster can be changed.
    pub quorum: bool,
    /// How many more members with a database may be lost before it stops; one that this machine
    /// cannot reach counts as lost. `None` without quorum.
    pub survives_losses: Option<usize>,
    /// The members that are known, from the cluster or, without quorum, from the caller.
    pub members: Vec<MemberHealth>,
    /// Storage pools and networks that are not whole, by name.
    pub incomplete: Vec<String>,
    /// How many instances there are on each member, and how many of them run.
    pub instances: BTreeMap<String, InstanceCount>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// How one member is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemberHealth {
    /// Its name in the cluster; empty where only its host is known.
    pub name: String,
    /// How it is reached, where that is known.
    pub host: Option<String>,
    /// What the cluster says of it; empty without quorum.
    pub status: String,
    /// Why, in the cluster's words; they say how long ago its last heartbeat was.
    pub message: String,
    /// Its address, as `https://…`.
    pub url: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its failure domain.
    pub failure_domain: String,
    /// The storage pools that it has its part of.
    pub pools: Vec<String>,
    /// The networks that it has its part of.
    pub networks: Vec<String>,
    /// Whether the machine itself could be reached.
    pub reachable: Option<bool>,
    /// Its engine's version, where the engine answered.
    pub version: Option<String>,
    /// Why the machine or its engine did not answer.
    pub unreachable_because: Option<String>,
}

impl MemberHealth {
    /// Whether the cluster counts it as online, and its machine did not fail to answer.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.status.eq_ignore_ascii_case("online") && self.unreachable_because.is_none()
    }
}

/// Instances on one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InstanceCount {
    /// In all.
    pub all: usize,
    /// Of those, how many run.
    pub running: usize,
}

/// Asks all `machines` at once, none for longer than `limit`. A machine that cannot be connected
/// to is given as the reason why.
///
/// The answer comes within the limit, whatever state the cluster is in.
pub async fn health(
    machines: &[(String, Result<Machine, String>)],
    flavour: Flavour,
    limit: Duration,
) -> Health {
    let asked = machines.iter().map(|(host, machine)| async move {
        match machine {
            Err(error) => Answer::failed(host, false, error.clone()),
            Ok(machine) => match tokio::time::timeout(limit, ask(machine, flavour, limit)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let late = format!("no answer within {} s", limit.as_secs());
                    Answer::failed(host, true, late)
                }
            },
        }
    });
    judge(join_all(asked).await)
}
