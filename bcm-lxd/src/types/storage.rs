use serde::{Deserialize, Serialize};

use super::{Config, Entity, EntityPost, null_default};

/// A storage pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct StoragePool {
    /// What it has in common with a network.
    #[serde(flatten)]
    pub entity: Entity,
    /// `btrfs`, `dir`, `lvm`, `zfs` …
    #[serde(default)]
    pub driver: String,
}

/// `GET /1.0/storage-pools/NAME/resources`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct PoolRoom {
    /// Its bytes.
    #[serde(default)]
    pub space: PoolSpace,
}

/// The bytes of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PoolSpace {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

/// `POST /1.0/storage-pools`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoragePoolsPost {
    /// What it has in common with a network.
    #[serde(flatten)]
    pub entity: EntityPost,
    /// Its driver.
    pub driver: String,
}

/// A volume of a pool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct StorageVolume {
    /// Its name.
    pub name: String,
    /// `container`, `virtual-machine`, `image` or `custom`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its keys.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// The member that holds it.
    #[serde(default)]
    pub location: String,
    /// Its project.
    #[serde(default)]
    pub project: String,
    /// What uses it: paths of the API.
    #[serde(default, deserialize_with = "null_default")]
    pub used_by: Vec<String>,
}

/// `POST /1.0/storage-pools/POOL/volumes/custom`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VolumesPost {
    /// Its name.
    pub name: String,
    /// What people write about it.
    pub description: String,
    /// `filesystem` or `block`.
    pub content_type: String,
    /// Its keys, such as `size`.
    pub config: Config,
}
