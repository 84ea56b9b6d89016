use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Config, Devices, null_default};

/// A container or a virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// `Running`, `Stopped`, `Frozen`, `Error`.
    #[serde(default)]
    pub status: String,
    /// `container` or `virtual-machine`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The member that it is on; `none` outside of clusters.
    #[serde(default)]
    pub location: String,
    /// Its project.
    #[serde(default)]
    pub project: String,
    /// Its profiles.
    #[serde(default, deserialize_with = "null_default")]
    pub profiles: Vec<String>,
    /// Its own keys.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// Its own devices.
    #[serde(default, deserialize_with = "null_default")]
    pub devices: Devices,
}

/// `POST /1.0/instances`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InstancesPost {
    /// Its name.
    pub name: String,
    /// What it is made from.
    pub source: InstanceSource,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its profiles; none means `default`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Its own keys.
    pub config: Config,
    /// Its own devices.
    pub devices: Devices,
}

/// What an instance is made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InstanceSource {
    /// `image` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The image's alias.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// The image's fingerprint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// What to do with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceAction {
    /// Start it.
    Start,
    /// Shut it down.
    Stop,
    /// Stop and start it.
    Restart,
    /// Hold all its processes.
    Freeze,
    /// Let them go on.
    Unfreeze,
}

/// `PUT /1.0/instances/NAME/state`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceStatePut {
    /// What to do.
    pub action: InstanceAction,
    /// Seconds that the instance has for it.
    pub timeout: i64,
    /// Cut the power rather than ask.
    pub force: bool,
}

/// `GET /1.0/instances/NAME/state`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct InstanceState {
    /// As in [`Instance::status`].
    #[serde(default)]
    pub status: String,
    /// Interfaces by name.
    #[serde(default, deserialize_with = "null_default")]
    pub network: BTreeMap<String, InstanceInterface>,
}

/// A network interface of a running instance.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct InstanceInterface {
    /// Its addresses.
    #[serde(default, deserialize_with = "null_default")]
    pub addresses: Vec<InstanceAddress>,
}

/// An address of a running instance.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct InstanceAddress {
    /// `inet` or `inet6`.
    pub family: String,
    /// The address.
    pub address: String,
    /// `global`, `link` or `local`.
    #[serde(default)]
    pub scope: String,
}

impl InstanceState {
    /// Addresses that others can reach, the first family first.
    pub fn global_addresses(&self) -> impl Iterator<Item = &str> {
        self.network
            .values()
            .flat_map(|interface| &interface.addresses)
            .filter(|address| address.scope == "global")
            .map(|address| address.address.as_str())
    }
}

/// How a command in an instance ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit status.
    pub status: i64,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}
