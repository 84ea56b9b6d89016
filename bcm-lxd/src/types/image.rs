use serde::{Deserialize, Serialize};

use super::{Config, null_default};

/// An image that instances are made from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Image {
    /// SHA-256 of its files, hex: its name in the API.
    pub fingerprint: String,
    /// Names for people.
    #[serde(default, deserialize_with = "null_default")]
    pub aliases: Vec<ImageAlias>,
    /// Its processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// `container` or `virtual-machine`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What it says of itself.
    #[serde(default, deserialize_with = "null_default")]
    pub properties: Config,
}

/// A name of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageAlias {
    /// The name.
    pub name: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// The image's fingerprint.
    #[serde(default)]
    pub target: String,
}
