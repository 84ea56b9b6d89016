use serde::{Deserialize, Serialize};

use super::{Entity, EntityPost};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// What it has in common with a storage pool.
    #[serde(flatten)]
    pub entity: Entity,
    /// `bridge`, `macvlan`, `physical` …; `loopback` and others for interfaces of the host.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Whether the daemon made it (otherwise it is the host's own).
    #[serde(default)]
    pub managed: bool,
}

/// `POST /1.0/networks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NetworksPost {
    /// What it has in common with a storage pool.
    #[serde(flatten)]
    pub entity: EntityPost,
    /// `bridge`, `macvlan` …
    #[serde(rename = "type")]
    pub kind: String,
}
