use serde::{Deserialize, Serialize};

use super::{Config, null_default};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// `bridge`, `macvlan`, `physical` …; `loopback` and others for interfaces of the host.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Whether the daemon made it (otherwise it is the host's own).
    #[serde(default)]
    pub managed: bool,
    /// `Created`, `Pending`, `Errored`.
    #[serde(default)]
    pub status: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// Its keys.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// What uses it: paths of the API.
    #[serde(default, deserialize_with = "null_default")]
    pub used_by: Vec<String>,
    /// The members that have it.
    #[serde(default, deserialize_with = "null_default")]
    pub locations: Vec<String>,
}

/// `POST /1.0/networks`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NetworksPost {
    /// Its name.
    pub name: String,
    /// `bridge`, `macvlan` …
    #[serde(rename = "type")]
    pub kind: String,
    /// What people write about it.
    pub description: String,
    /// Its keys.
    pub config: Config,
}
