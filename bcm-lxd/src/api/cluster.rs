//! The cluster and its members.

use serde_json::json;

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
