use serde::{Deserialize, Serialize};

use super::{Config, Devices, null_default};

/// A profile: configuration and devices that instances share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// Its keys.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// Its devices.
    #[serde(default, deserialize_with = "null_default")]
    pub devices: Devices,
    /// What uses it: paths of the API.
    #[serde(default, deserialize_with = "null_default", skip_serializing)]
    pub used_by: Vec<String>,
}

/// A project: a separate set of instances, images, profiles and volumes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// Its keys, such as `features.images`.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// What is in it: paths of the API.
    #[serde(default, deserialize_with = "null_default", skip_serializing)]
    pub used_by: Vec<String>,
}
