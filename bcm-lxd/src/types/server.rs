use serde::{Deserialize, Serialize};

use super::{Config, null_default};

/// `GET /1.0`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Server {
    /// What the server can do beside the basic API. Members of one cluster need the same number
    /// of them.
    #[serde(default, deserialize_with = "null_default")]
    pub api_extensions: Vec<String>,
    /// `trusted` or `untrusted`.
    #[serde(default)]
    pub auth: String,
    /// Configuration of this server, and in a cluster of the whole cluster.
    #[serde(default, deserialize_with = "null_default")]
    pub config: Config,
    /// What the server runs on. Empty for callers that it does not trust.
    #[serde(default)]
    pub environment: Environment,
}

/// What a server runs on.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Addresses that it listens on, with ports.
    #[serde(deserialize_with = "null_default")]
    pub addresses: Vec<String>,
    /// Architectures that it runs, such as `x86_64`.
    #[serde(deserialize_with = "null_default")]
    pub architectures: Vec<String>,
    /// Its certificate, PEM.
    pub certificate: String,
    /// SHA-256 of its certificate, hex.
    pub certificate_fingerprint: String,
    /// Kernel release.
    pub kernel_version: String,
    /// Name of the operating system.
    pub os_name: String,
    /// Version of the operating system.
    pub os_version: String,
    /// `lxd` or `incus`.
    pub server: String,
    /// Whether it is part of a cluster.
    pub server_clustered: bool,
    /// Its name in the cluster, or the host's name.
    pub server_name: String,
    /// Its version, such as `5.0.2`.
    pub server_version: String,
    /// Storage drivers that are in use, joined by ` | `.
    pub storage: String,
    /// Storage drivers that would work here.
    #[serde(deserialize_with = "null_default")]
    pub storage_supported_drivers: Vec<StorageDriver>,
}

/// A storage driver that would work on a server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct StorageDriver {
    /// `btrfs`, `dir`, `lvm`, `zfs` …
    pub name: String,
    /// Version of its tools.
    pub version: String,
}

/// `PATCH /1.0`: keys to change; an empty value removes a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ServerPatch {
    /// The keys.
    pub config: Config,
}

/// A certificate that the server trusts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Certificate {
    /// The name that it was given.
    #[serde(default)]
    pub name: String,
    /// `client`, `server` or `metrics`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// SHA-256, hex.
    pub fingerprint: String,
}
