//! How a cluster is.

mod ask;
mod judge;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::future::ready;
use std::time::{Duration, Instant};

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
    /// Whole seconds since its cluster last heard from it. `None` where the engine does not tell,
    /// and for an only member, whom nobody listens to.
    pub heartbeat_age: Option<u64>,
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
    let reached = machines.iter().map(|(host, machine)| {
        let machine = machine.as_ref().map_err(String::clone);
        (host.clone(), ready(machine))
    });
    health_reaching(reached, flavour, limit).await
}

/// [`health`] of machines that are connected to within the same limit, each on its own: one that is
/// gone takes nothing of the others' time.
pub async fn health_reaching<M: Borrow<Machine>>(
    machines: impl IntoIterator<Item = (String, impl Future<Output = Result<M, String>>)>,
    flavour: Flavour,
    limit: Duration,
) -> Health {
    let asked = machines.into_iter().map(|(host, reached)| async move {
        let began = Instant::now();
        let late = |what| format!("{what} within {} s", limit.as_secs_f64());
        let machine = match tokio::time::timeout(limit, reached).await {
            Ok(Ok(machine)) => machine,
            Ok(Err(error)) => return Answer::failed(&host, false, error),
            Err(_) => return Answer::failed(&host, false, late("no connection")),
        };
        let left = limit.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, ask(machine.borrow(), flavour, left)).await {
            Ok(answer) => answer,
            Err(_) => Answer::failed(&host, true, late("no answer")),
        }
    });
    judge(join_all(asked).await)
}
