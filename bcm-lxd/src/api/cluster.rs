//! The cluster and its members.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::OperationHandle;
use crate::request::Request;
use crate::types::{
    ClusterInfo, ClusterMember, ClusterMemberPut, ClusterPut, JoinToken, MemberStateAction,
};

impl Client {
    /// Whether the server is part of a cluster, and what a new member would have to answer.
    ///
    /// # Errors
    /// The call failed.
    pub async fn cluster(&self) -> Result<ClusterInfo, LxdError> {
        self.call(Request::get(&["cluster"])).await
    }

    /// Begins, joins or leaves a cluster. Leaving makes the daemon re-execute itself, which may
    /// break the connection before it answers.
    ///
    /// # Errors
    /// The call failed.
    pub async fn put_cluster(&self, put: &ClusterPut) -> Result<OperationHandle, LxdError> {
        self.start(Request::put(&["cluster"], put)).await
    }

    /// The members.
    ///
    /// # Errors
    /// The call failed; outside of a cluster it does.
    pub async fn cluster_members(&self) -> Result<Vec<ClusterMember>, LxdError> {
        self.call_list(Request::get(&["cluster", "members"]).with_query("recursion", "1"))
            .await
    }

    /// How long ago the cluster heard from each member, by name; about every 10 s it does.
    ///
    /// The public API tells that only of a member that is offline, in words. So the database is
    /// asked, as `lxd sql` and `incus admin sql` do; its leader's clock measures.
    ///
    /// # Errors
    /// The call failed, or what it answers is none of what those tools understand.
    pub async fn heartbeat_ages(&self) -> Result<BTreeMap<String, Duration>, LxdError> {
        let request = Request::internal(
            "sql",
            &json!({
                "database": "global",
                "query": "SELECT name, (julianday('now') - julianday(heartbeat)) * 86400 FROM nodes",
            }),
        );
        let call = request.call();
        let answer: Value = self.call(request).await?;
        heartbeats(&answer).ok_or_else(|| LxdError::Answer {
            peer: self.peer().to_owned(),
            call,
            what: "there are no rows in it".to_owned(),
        })
    }

    /// One member.
    ///
    /// # Errors
    /// The call failed.
    pub async fn cluster_member(&self, name: &str) -> Result<ClusterMember, LxdError> {
        self.call(Request::get(&["cluster", "members", name])).await
    }

    /// Changes a member's roles, failure domain, groups and configuration.
    ///
    /// # Errors
    /// The call failed.
    pub async fn update_cluster_member(
        &self,
        name: &str,
        put: &ClusterMemberPut,
    ) -> Result<(), LxdError> {
        self.call_empty(Request::put(&["cluster", "members", name], put))
            .await
    }

    /// Makes a token with which a server can join as `name`. A second token for a name cancels
    /// the first; the handle's [`cancel`](OperationHandle::cancel) revokes it.
    ///
    /// # Errors
    /// The call failed, or the server's answer has no token.
    pub async fn join_token(&self, name: &str) -> Result<(JoinToken, OperationHandle), LxdError> {
        let request = Request::post(&["cluster", "members"], &json!({ "server_name": name }));
        let call = request.call();
        let handle = self.start(request).await?;
        match JoinToken::from_operation(&handle.operation().metadata) {
            Some(token) => Ok((token, handle)),
            None => Err(LxdError::Answer {
                peer: self.peer().to_owned(),
                call,
                what: "there is no token in it".to_owned(),
            }),
        }
    }

    /// Takes a member out of service or back into it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn set_member_state(
        &self,
        name: &str,
        action: MemberStateAction,
    ) -> Result<OperationHandle, LxdError> {
        let action = match action {
            MemberStateAction::Evacuate => "evacuate",
            MemberStateAction::Restore => "restore",
        };
        self.start(Request::post(
            &["cluster", "members", name, "state"],
            &json!({ "action": action }),
        ))
        .await
    }

    /// Removes a member. Without `force` the member is contacted, and it must hold no instances,
    /// images or custom volumes; with it, only the cluster's memory of it is cleared.
    ///
    /// # Errors
    /// The call failed.
    pub async fn remove_cluster_member(&self, name: &str, force: bool) -> Result<(), LxdError> {
        let force = force.then_some("1");
        self.start(Request::delete(&["cluster", "members", name]).with_optional("force", force))
            .await
            .map(|_| ())
    }
}

/// `{"Results": [{"rows": [[NAME, SECONDS], …]}]}`.
fn heartbeats(answer: &Value) -> Option<BTreeMap<String, Duration>> {
    let rows = answer.get("Results")?.get(0)?.get("rows")?.as_array()?;
    let age = |row: &Value| {
        let seconds = row.get(1)?.as_f64()?.max(0.0);
        let age = Duration::try_from_secs_f64(seconds).ok()?;
        Some((row.get(0)?.as_str()?.to_owned(), age))
    };
    Some(rows.iter().filter_map(age).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_what_is_odd_is_left_out() {
        let answer = json!({"Results": [{
            "type": "select", "columns": ["name", "…"], "rows_affected": 0,
            "rows": [["node1", 10.75], ["node2", -0.5], ["node3", null], ["node4", 1e300], [5, 5]],
        }]});
        let ages = heartbeats(&answer).unwrap();
        assert_eq!(
            ages,
            [
                ("node1".to_owned(), Duration::from_millis(10_750)),
                ("node2".to_owned(), Duration::ZERO),
            ]
            .into()
        );
        assert!(heartbeats(&json!({"Results": []})).is_none());
    }
}
