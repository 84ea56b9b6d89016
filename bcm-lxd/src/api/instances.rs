//! Instances: containers and virtual machines.

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{ApiError, LxdError};
use crate::operation::OperationHandle;
use crate::request::Request;
use crate::types::{Config, Devices, Instance, InstanceState, InstanceStatePut, InstancesPost};

impl Client {
    /// The instances of this client's project.
    ///
    /// # Errors
    /// The call failed.
    pub async fn instances(&self) -> Result<Vec<Instance>, LxdError> {
        self.call_list(
            Request::get(&["instances"])
                .with_query("recursion", "1")
                .with_optional("project", self.project()),
        )
        .await
    }

    /// The instances of all projects.
    ///
    /// # Errors
    /// The call failed.
    pub async fn all_instances(&self) -> Result<Vec<Instance>, LxdError> {
        self.call_list(
            Request::get(&["instances"])
                .with_query("recursion", "1")
                .with_query("all-projects", "true"),
        )
        .await
    }

    /// One instance.
    ///
    /// # Errors
    /// The call failed.
    pub async fn instance(&self, name: &str) -> Result<Instance, LxdError> {
        self.call(Request::get(&["instances", name]).with_optional("project", self.project()))
            .await
    }

    /// Makes an instance, in a cluster on the member `target`. It is not started.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_instance(
        &self,
        instance: &InstancesPost,
        target: Option<&str>,
    ) -> Result<OperationHandle, LxdError> {
        let request = Request::post(&["instances"], instance)
            .with_optional("project", self.project())
            .with_optional("target", target);
        self.start(request).await
    }

    /// Gives an instance these keys and devices of its own, instead of those that it has. Keys that the
    /// engine keeps for itself (`volatile.*`, `image.*`) stay.
    ///
    /// # Errors
    /// The call failed.
    pub async fn update_instance(
        &self,
        name: &str,
        config: &Config,
        devices: &Devices,
    ) -> Result<OperationHandle, LxdError> {
        let now: Value = self
            .call(Request::get(&["instances", name]).with_optional("project", self.project()))
            .await?;
        let put = replaced(&now, config, devices);
        let request =
            Request::put(&["instances", name], &put).with_optional("project", self.project());
        self.start(request).await
    }

    /// Starts, stops or freezes an instance.
    ///
    /// # Errors
    /// The call failed.
    pub async fn set_instance_state(
        &self,
        name: &str,
        put: &InstanceStatePut,
    ) -> Result<OperationHandle, LxdError> {
        let request = Request::put(&["instances", name, "state"], put)
            .with_optional("project", self.project());
        self.start(request).await
    }

    /// What an instance is doing, with its addresses.
    ///
    /// # Errors
    /// The call failed.
    pub async fn instance_state(&self, name: &str) -> Result<InstanceState, LxdError> {
        self.call(
            Request::get(&["instances", name, "state"]).with_optional("project", self.project()),
        )
        .await
    }

    /// Removes an instance, which must be stopped.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_instance(&self, name: &str) -> Result<OperationHandle, LxdError> {
        self.start(Request::delete(&["instances", name]).with_optional("project", self.project()))
            .await
    }

    /// The console's log so far: what an instance wrote while it booted. Empty where it wrote nothing.
    ///
    /// # Errors
    /// The call failed.
    pub async fn console_log(&self, name: &str) -> Result<Vec<u8>, LxdError> {
        let request =
            Request::get(&["instances", name, "console"]).with_optional("project", self.project());
        match self.download(request).await {
            Ok((_, bytes)) => Ok(bytes.to_vec()),
            Err(error) if error.api().is_some_and(is_empty_console) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// What `PUT /1.0/instances/NAME` takes, out of what `GET` gave.
fn replaced(now: &Value, config: &Config, devices: &Devices) -> Value {
    let kept = now.get("config").and_then(Value::as_object);
    let mut all: serde_json::Map<String, Value> = kept
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("volatile.") || key.starts_with("image."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    all.extend(
        config
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().into())),
    );
    let kept = |name: &str| now.get(name).cloned().unwrap_or_default();
    json!({
        "architecture": kept("architecture"),
        "description": kept("description"),
        "ephemeral": kept("ephemeral"),
        "profiles": kept("profiles"),
        "config": all,
        "devices": devices,
    })
}

/// LXD 5.0 tries to send a file without a name where a running container wrote nothing yet.
fn is_empty_console(error: &ApiError) -> bool {
    error.code == 500 && error.message == "open : no such file or directory"
}
