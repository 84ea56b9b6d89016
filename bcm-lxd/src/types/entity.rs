use serde::{Deserialize, Serialize};

use super::{Config, null_default};

/// What storage pools and networks have in common: a cluster has each of them as a whole, and every
/// member has its part. ("Entity" is the API's own word, in `member_config`.)
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// `Created`, `Pending`, `Errored`; empty from servers that are in no cluster.
    #[serde(default)]
    pub status: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// Its keys; those of one member where the question named one.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// What uses it: paths of the API.
    #[serde(default, deserialize_with = "null_default")]
    pub used_by: Vec<String>,
    /// The members that have it.
    #[serde(default, deserialize_with = "null_default")]
    pub locations: Vec<String>,
}

impl Entity {
    /// Whether it is there on every member, and not only begun.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.status.is_empty() || self.status.eq_ignore_ascii_case("created")
    }
}

/// What is said of a storage pool or a network when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EntityPost {
    /// Its name.
    pub name: String,
    /// What people write about it.
    pub description: String,
    /// Its keys.
    pub config: Config,
}
