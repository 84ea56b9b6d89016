//! The server itself.

use crate::client::Client;
use crate::error::LxdError;
use crate::request::Request;
use crate::types::{Certificate, Config, Resources, ServerPatch};

impl Client {
    /// Changes keys of the server's configuration; an empty value removes a key. In a cluster,
    /// `target` names the member for keys that each member has for itself.
    ///
    /// # Errors
    /// The call failed, for example because the server refuses a value.
    pub async fn set_server_config(
        &self,
        config: Config,
        target: Option<&str>,
    ) -> Result<(), LxdError> {
        let request = Request::patch(&[], &ServerPatch { config }).with_optional("target", target);
        self.call_empty(request).await
    }

    /// What the machine has; in a cluster, the member `target`'s.
    ///
    /// # Errors
    /// The call failed.
    pub async fn resources(&self, target: Option<&str>) -> Result<Resources, LxdError> {
        self.call(Request::get(&["resources"]).with_optional("target", target))
            .await
    }

    /// The certificates that the server trusts.
    ///
    /// # Errors
    /// The call failed.
    pub async fn certificates(&self) -> Result<Vec<Certificate>, LxdError> {
        self.call_list(Request::get(&["certificates"]).with_query("recursion", "1"))
            .await
    }

    /// Stops trusting a certificate.
    ///
    /// # Errors
    /// The call failed.
    pub async fn remove_certificate(&self, fingerprint: &str) -> Result<(), LxdError> {
        self.call_empty(Request::delete(&["certificates", fingerprint]))
            .await
    }
}
