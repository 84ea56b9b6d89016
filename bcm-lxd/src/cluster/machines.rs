//! What is said in `bcm.toml` of virtual machines that are made for a cluster; for whoever makes them.

use serde::{Deserialize, Serialize};

/// `[cluster.vm]`: what is left out is as whoever makes the machines has it. Texts are as they were
/// typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MachineSpec {
    /// How many machines.
    #[serde(default)]
    pub count: Option<u8>,
    /// Processors of each.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// The memory of each, such as `2G`.
    #[serde(default)]
    pub memory: Option<String>,
    /// The size of the disk of each, such as `20G`.
    #[serde(default)]
    pub disk: Option<String>,
    /// A file or URL of an image.
    #[serde(default)]
    pub image: Option<String>,
    /// The image's SHA-256, in hexadecimal digits.
    #[serde(default)]
    pub image_sha256: Option<String>,
    /// Who makes them.
    #[serde(default)]
    pub provider: Option<String>,
    /// How long a machine may take to boot, such as `10m`.
    #[serde(default)]
    pub timeout: Option<String>,
}
