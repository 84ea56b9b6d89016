//! Takes a whole cluster away, and with it what BCM did to the machines.

use std::time::Duration;

use bcm_core::progress::{Level, SharedProgress, watched};
use futures_util::future::join_all;
use serde::Serialize;

use crate::client::{Client, ClientOptions};
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::{HostFacts, Machine, MachineError, remove};
use crate::types::{ClusterMember, ClusterPut, Config};
use bcm_core::cause::chain;

use super::engine::installed;
use super::observe::{NAME_KEY, engine_state};
use super::teardown::empty_cluster;

/// What became of a cluster that was destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Destroyed {
    /// What was removed, in words.
    pub removed: Vec<String>,
    /// What could not be, with the reason and what to do about it.
    pub left: Vec<LeftOver>,
}

/// Something that is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOver {
    /// The machine, where it is about one.
    pub host: Option<String>,
    /// What is left, and why.
    pub what: String,
    /// How to remove it.
    pub fix: String,
}

impl Destroyed {
    /// What an interruption leaves.
    fn stopped(mut self, reached: &[(&Machine, HostFacts)]) -> Self {
        for (machine, _) in reached {
            self.leave(
                Some(machine.host()),
                "it was not begun with: interrupted".to_owned(),
                "run the same command again",
            );
        }
        self
    }

    fn leave(&mut self, host: Option<&str>, what: String, fix: &str) {
        self.left.push(LeftOver {
            host: host.map(str::to_owned),
            what,
            fix: fix.to_owned(),
        });
    }
}

/// How long a daemon without quorum is waited for before it is treated as gone.
const ANSWER: Duration = Duration::from_secs(10);

/// Destroys the cluster of the `machines`: first what it holds, through any member that answers;
/// then, on all machines at once, the engine that BCM installed, with its notes. An engine that
/// was there before, or that `keep_engine` asks to keep, leaves the cluster and stays.
///
/// A machine that cannot be reached does not block the others: it is listed with what to do. So is
/// every machine that is not begun with because of `interrupted`, which is asked between phases.
pub async fn destroy(
    machines: &[(String, Result<Machine, String>)],
    flavour: Flavour,
    keep_engine: bool,
    progress: &SharedProgress,
    interrupted: impl Fn() -> bool,
) -> Destroyed {
    let mut destroyed = Destroyed::default();
    let mut reached = Vec::new();
    for (host, machine) in machines {
        let asked = match machine {
            Ok(machine) => match machine.facts().await {
                Ok((facts, _)) => Ok((machine, facts)),
                Err(error) => Err(chain(&error)),
            },
            Err(error) => Err(error.clone()),
        };
        match asked {
            Ok(found) => reached.push(found),
            Err(error) => destroyed.leave(
                Some(host),
                format!("it could not be reached ({error})"),
                "when it is back, clear it alone with `bcm cluster destroy --host`",
            ),
        }
    }
    if interrupted() {
        return destroyed.stopped(&reached);
    }
    let clients = connect(&reached, flavour).await;
    match clients.iter().flatten().next() {
        Some(client) => match watched(progress, "empty the cluster", empty_cluster(client)).await {
            Ok(removed) => destroyed.removed.extend(removed),
            Err(error) => progress.note(
                Level::Warning,
                &format!("the cluster could not be emptied first: {}", chain(&error)),
            ),
        },
        None => progress.note(
            Level::Warning,
            "no member answers: the machines are cleared one by one",
        ),
    }
    if interrupted() {
        return destroyed.stopped(&reached);
    }
    let staying: Vec<(&Machine, &Client)> = reached
        .iter()
        .zip(&clients)
        .filter(|((_, facts), _)| keep_engine || !facts.engine_is_ours())
        .filter_map(|((machine, _), client)| Some((*machine, client.as_ref()?)))
        .collect();
    leave(&staying, &mut destroyed).await;
    let cleared = reached.iter().map(|(machine, facts)| async move {
        let keep = keep_engine || !facts.engine_is_ours();
        let host = machine.host();
        let name = match keep {
            true => format!("{host}: leave the cluster, keep {flavour}"),
            false => format!("{host}: remove {flavour}"),
        };
        let removed = remove(machine.remote().as_ref(), host, flavour, keep);
        (machine, keep, watched(progress, &name, removed).await)
    });
    for (machine, keep, result) in join_all(cleared).await {
        match result {
            Ok(()) if keep => {}
            Ok(()) => destroyed
                .removed
                .push(format!("{}: {flavour}", machine.host())),
            Err(error) => destroyed.leave(
                Some(machine.host()),
                chain(&error),
                "mend what it says there and run the same command again",
            ),
        }
    }
    destroyed
}

/// A machine could not be cleared alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// It could not be asked, or its packages could not be removed.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// It is a member of a cluster that works.
    #[error("{host} is a member of a cluster that works; remove it there first")]
    Member {
        /// The machine.
        host: String,
    },
}

/// A cluster that works, and its members: to tell those that it went on without.
#[derive(Debug, Clone)]
pub struct Working {
    /// Its name.
    pub name: String,
    /// Its members, as they say themselves.
    pub members: Vec<ClusterMember>,
}

impl Working {
    /// Whether the member of `client` is in a cluster of this name, and yet not in this one.
    async fn went_on_without(&self, client: &Client) -> Result<bool, LxdError> {
        let state = engine_state(client).await?;
        let own = |m: &&ClusterMember| Some(&m.server_name) == state.member_name.as_ref();
        let Some(own) = state.members.iter().find(own) else {
            return Ok(false);
        };
        let is_here = |m: &ClusterMember| m.server_name == own.server_name && m.url == own.url;
        Ok(state.cluster_name() == Some(self.name.as_str())
            && !self.members.is_empty()
            && !self.members.iter().any(is_here))
    }
}

/// Takes back what BCM did to one machine whose cluster has gone on without it: one that could
/// not be reached when its cluster was destroyed, or when it was removed by force. Without
/// `flavour`, the engine is the one that is installed there. Gives the engine back.
///
/// # Errors
/// It is part of a cluster that works and of which `working` does not show that it is the rest of
/// an earlier one, or it could not be cleared.
pub async fn clear_machine(
    machine: &Machine,
    flavour: Option<Flavour>,
    working: Option<&Working>,
    keep_engine: bool,
) -> Result<Flavour, ClearError> {
    let (facts, _) = machine.facts().await?;
    let flavour = flavour
        .or_else(|| installed(&facts).first().copied())
        .unwrap_or(Flavour::Incus);
    let reached = [(machine, facts)];
    let mut tries_left = 3;
    while let Some(client) = connect(&reached, flavour)
        .await
        .into_iter()
        .flatten()
        .next()
    {
        let left_behind = match working {
            Some(working) => working.went_on_without(&client).await,
            None => Ok(false),
        };
        tries_left -= 1;
        match left_behind {
            Ok(true) => break,
            Ok(false) => {
                return Err(ClearError::Member {
                    host: machine.host().to_owned(),
                });
            }
            // It may be losing its quorum at this moment.
            Err(_) if tries_left > 0 => tokio::time::sleep(Duration::from_secs(2)).await,
            Err(error) => return Err(MachineError::from(error).into()),
        }
    }
    let keep = keep_engine || !reached[0].1.engine_is_ours();
    remove(machine.remote().as_ref(), machine.host(), flavour, keep)
        .await
        .map_err(MachineError::from)?;
    Ok(flavour)
}

/// Clients of those engines that answer quickly.
async fn connect(reached: &[(&Machine, HostFacts)], flavour: Flavour) -> Vec<Option<Client>> {
    let options = ClientOptions {
        answer: ANSWER,
        ..ClientOptions::default()
    };
    let connecting = reached.iter().map(|(machine, _)| {
        let options = options.clone();
        async move {
            let client = machine.engine(flavour, options).await.ok().flatten()?;
            // Whoever cannot list the members has no quorum, and can do nothing else either.
            client.cluster_members().await.ok()?;
            Some(client.with_options(ClientOptions::default()))
        }
    });
    join_all(connecting).await
}

/// Engines that stay leave the cluster one after the other; the last one ends it.
async fn leave(staying: &[(&Machine, &Client)], destroyed: &mut Destroyed) {
    let Some(((last_machine, last), others)) = staying.split_last() else {
        return;
    };
    for (machine, client) in others {
        let left = async {
            let name = client.cluster().await?.server_name;
            last.remove_cluster_member(&name, false).await
        };
        match left.await {
            Ok(()) => destroyed
                .removed
                .push(format!("{}: its membership", machine.host())),
            Err(error) => destroyed.leave(
                Some(machine.host()),
                format!("it could not leave the cluster ({})", chain(&error)),
                "run the same command again",
            ),
        }
    }
    let put = ClusterPut::default();
    // The daemon re-executes itself, and may do so before it answers.
    let answer = last.put_cluster(&put).await;
    let answer = match answer {
        Ok(handle) => handle.wait(Duration::from_secs(60)).await.map(|_| ()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = answer
        && error.api().is_some()
    {
        destroyed.leave(
            Some(last_machine.host()),
            format!("it could not end the cluster ({})", chain(&error)),
            "run the same command again",
        );
        return;
    }
    let config: Config = ["core.https_address", NAME_KEY]
        .map(|key| (key.to_owned(), String::new()))
        .into();
    match last_machine.wait_for_engine(last.flavour()).await {
        Ok(client) => {
            let _ = client.set_server_config(config, None).await;
            destroyed.removed.push("the cluster".to_owned());
        }
        Err(error) => destroyed.leave(
            Some(last_machine.host()),
            format!("its engine does not come back ({})", chain(&error)),
            "look at its log there",
        ),
    }
}
