//! What the API's answers and requests hold. Fields that BCM does not use are left out; unknown
//! ones are ignored, so that newer servers are understood.

mod cluster;
mod entity;
mod image;
mod instance;
mod network;
mod operation;
mod profile;
mod resources;
mod server;
mod storage;

pub use cluster::{
    ClusterInfo, ClusterMember, ClusterMemberPut, ClusterPut, JoinToken, MemberConfigKey,
    MemberStateAction,
};
pub use entity::{Entity, EntityPost};
pub use image::{Image, ImageAlias};
pub use instance::{
    ExecResult, Instance, InstanceAction, InstanceAddress, InstanceInterface, InstanceSource,
    InstanceState, InstanceStatePut, InstancesPost,
};
pub use network::{Network, NetworksPost};
pub use operation::Operation;
pub use profile::{Profile, Project};
pub use resources::{Cpu, Disk, Memory, Resources, Storage};
pub use server::{Certificate, Environment, Server, ServerPatch, StorageDriver};
pub use storage::{PoolRoom, PoolSpace, StoragePool, StoragePoolsPost, StorageVolume, VolumesPost};

use std::collections::BTreeMap;

/// Configuration keys and values, as the API has them everywhere.
pub type Config = BTreeMap<String, String>;

/// Devices by name, each with its keys and values.
pub type Devices = BTreeMap<String, Config>;

/// Some servers write `null` for an empty list or map.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}
