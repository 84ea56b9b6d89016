//! Networks.

use crate::client::Client;
use crate::error::LxdError;
use crate::request::Request;
use crate::types::{Network, NetworksPost};

impl Client {
    /// The networks, the host's own interfaces among them.
    ///
    /// # Errors
    /// The call failed.
    pub async fn networks(&self) -> Result<Vec<Network>, LxdError> {
        self.call_list(
            Request::get(&["networks"])
                .with_query("recursion", "1")
                .with_optional("project", self.project()),
        )
        .await
    }

    /// One network; with `target`, with that member's own keys.
    ///
    /// # Errors
    /// The call failed.
    pub async fn network(&self, name: &str, target: Option<&str>) -> Result<Network, LxdError> {
        self.call(
            Request::get(&["networks", name])
                .with_optional("project", self.project())
                .with_optional("target", target),
        )
        .await
    }

    /// Makes a network. In a cluster this takes one call for each member (with `target` and that
    /// member's own keys) and then one without.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_network(
        &self,
        network: &NetworksPost,
        target: Option<&str>,
    ) -> Result<(), LxdError> {
        self.call_empty(
            Request::post(&["networks"], network)
                .with_optional("project", self.project())
                .with_optional("target", target),
        )
        .await
    }

    /// Removes a network from all members.
    ///
    /// # Errors
    /// The call failed, for example because something uses the network.
    pub async fn delete_network(&self, name: &str) -> Result<(), LxdError> {
        self.call_empty(
            Request::delete(&["networks", name]).with_optional("project", self.project()),
        )
        .await
    }
}
