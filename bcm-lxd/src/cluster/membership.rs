//! Members leave, or rest for a while.

use std::time::Duration;

use serde::Serialize;

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::WaitError;
use crate::types::MemberStateAction;

/// A member could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// There is no such member.
    #[error("there is no member {name}; the members are {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The member is the only one.
    #[error("{0} is the last member: destroy the cluster instead")]
    Last(String),
    /// The member does not answer, and force was not asked for.
    #[error(
        "{name} is {status}, so it cannot be drained; removing it by force (--force) loses {}",
        instances(lost)
    )]
    Dead {
        /// The member.
        name: String,
        /// Its status.
        status: String,
        /// The instances that would be lost.
        lost: Vec<String>,
    },
    /// A call failed.
    #[error(transparent)]
    Server(#[from] LxdError),
    /// An operation did not end well.
    #[error("{operation} {name}")]
    Operation {
        /// What was tried.
        operation: &'static str,
        /// The member.
        name: String,
        /// Why it did not end well.
        source: WaitError,
    },
}

/// The instances of a member that is dead, in words.
fn instances(lost: &[String]) -> String {
    match lost {
        [] => "nothing: there is no instance on it".to_owned(),
        lost => format!("its instances: {}", lost.join(", ")),
    }
}

/// How far the removal of a member may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is drained first.
    Drained,
    /// Where its cluster does not hear from it, that is left out; what is on it is lost.
    Forced,
    /// That is left out also where its cluster has not noticed yet that it is gone.
    Abandoned,
}

/// What the removal of a member did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RemovedMember {
    /// The member.
    pub name: String,
    /// Instances that went to other members first.
    pub moved: Vec<String>,
    /// Instances that are lost with it.
    pub lost: Vec<String>,
}

const LIMIT: Duration = Duration::from_secs(600);

/// Takes a member out of service (its instances go to others, or stop) or back into it.
///
/// # Errors
/// There is no such member, or the engine failed.
pub async fn set_service(
    client: &Client,
    name: &str,
    action: MemberStateAction,
) -> Result<(), MembershipError> {
    known(client, name).await?;
    let operation = match action {
        MemberStateAction::Evacuate => "evacuate",
        MemberStateAction::Restore => "restore",
    };
    let done = async {
        client
            .set_member_state(name, action)
            .await?
            .wait(LIMIT)
            .await
    };
    done.await
        .map(|_| ())
        .map_err(|source| MembershipError::Operation {
            operation,
            name: name.to_owned(),
            source,
        })
}

/// Removes a member from the cluster, as far as `removal` allows.
///
/// # Errors
/// There is no such member, it is the last one, it is dead and that is not allowed for, or the
/// engine failed.
pub async fn remove_member(
    client: &Client,
    name: &str,
    removal: Removal,
) -> Result<RemovedMember, MembershipError> {
    let (member, count) = known(client, name).await?;
    if count == 1 {
        return Err(MembershipError::Last(name.to_owned()));
    }
    let on_it: Vec<String> = client
        .all_instances()
        .await?
        .into_iter()
        .filter(|instance| instance.location == name)
        .map(|instance| instance.name)
        .collect();
    let heard = member.is_online() || member.status.eq_ignore_ascii_case("evacuated");
    let mut removed = RemovedMember {
        name: name.to_owned(),
        ..RemovedMember::default()
    };
    if heard && removal != Removal::Abandoned {
        if !on_it.is_empty() {
            set_service(client, name, MemberStateAction::Evacuate).await?;
            removed.moved = on_it;
        }
        client.remove_cluster_member(name, false).await?;
    } else if removal != Removal::Drained {
        removed.lost = on_it;
        client.remove_cluster_member(name, true).await?;
    } else {
        return Err(MembershipError::Dead {
            name: name.to_owned(),
            status: member.status.to_lowercase(),
            lost: on_it,
        });
    }
    Ok(removed)
}

async fn known(
    client: &Client,
    name: &str,
) -> Result<(crate::types::ClusterMember, usize), MembershipError> {
    let members = client.cluster_members().await?;
    let count = members.len();
    let names = members.iter().map(|m| m.server_name.clone()).collect();
    members
        .into_iter()
        .find(|member| member.server_name == name)
        .map(|member| (member, count))
        .ok_or_else(|| MembershipError::Unknown {
            name: name.to_owned(),
            known: names,
        })
}
