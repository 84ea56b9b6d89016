use serde::Deserialize;

use super::null_default;

/// `GET /1.0/resources`: what a machine has.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Disks.
    pub storage: Storage,
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Such as `x86_64`.
    pub architecture: String,
    /// Threads of all processors.
    pub total: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

/// Disks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// The disks.
    #[serde(deserialize_with = "null_default")]
    pub disks: Vec<Disk>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The kernel's name for it, such as `sda`.
    pub id: String,
    /// Its model.
    pub model: String,
    /// Bytes.
    pub size: u64,
    /// Whether it can be taken out.
    pub removable: bool,
}
