//! Storage pools and volumes.

use crate::client::Client;
use crate::error::LxdError;
use crate::request::Request;
use crate::types::{PoolRoom, StoragePool, StoragePoolsPost, StorageVolume, VolumesPost};

impl Client {
    /// The storage pools.
    ///
    /// # Errors
    /// The call failed.
    pub async fn storage_pools(&self) -> Result<Vec<StoragePool>, LxdError> {
        self.call_list(Request::get(&["storage-pools"]).with_query("recursion", "1"))
            .await
    }

    /// One pool; with `target`, with that member's own keys.
    ///
    /// # Errors
    /// The call failed.
    pub async fn storage_pool(
        &self,
        name: &str,
        target: Option<&str>,
    ) -> Result<StoragePool, LxdError> {
        self.call(Request::get(&["storage-pools", name]).with_optional("target", target))
            .await
    }

    /// How much room a pool has on the member `target`.
    ///
    /// # Errors
    /// The call failed.
    pub async fn storage_pool_room(
        &self,
        name: &str,
        target: Option<&str>,
    ) -> Result<PoolRoom, LxdError> {
        let request = Request::get(&["storage-pools", name, "resources"]);
        self.call(request.with_optional("target", target)).await
    }

    /// Makes a pool. In a cluster this takes one call for each member (with `target` and that
    /// member's own keys) and then one without.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_storage_pool(
        &self,
        pool: &StoragePoolsPost,
        target: Option<&str>,
    ) -> Result<(), LxdError> {
        self.call_empty(Request::post(&["storage-pools"], pool).with_optional("target", target))
            .await
    }

    /// Removes a pool and what the daemon made for it on disk, on all members.
    ///
    /// # Errors
    /// The call failed, for example because something uses the pool.
    pub async fn delete_storage_pool(&self, name: &str) -> Result<(), LxdError> {
        self.call_empty(Request::delete(&["storage-pools", name]))
            .await
    }

    /// The volumes of a pool, of all projects.
    ///
    /// # Errors
    /// The call failed.
    pub async fn volumes(&self, pool: &str) -> Result<Vec<StorageVolume>, LxdError> {
        let request = Request::get(&["storage-pools", pool, "volumes"])
            .with_query("recursion", "1")
            .with_query("all-projects", "true");
        self.call_list(request).await
    }

    /// Makes a custom volume, in a cluster on the member `target`.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_volume(
        &self,
        pool: &str,
        volume: &VolumesPost,
        target: Option<&str>,
    ) -> Result<(), LxdError> {
        let request = Request::post(&["storage-pools", pool, "volumes", "custom"], volume)
            .with_optional("project", self.project())
            .with_optional("target", target);
        self.start(request).await.map(|_| ())
    }

    /// Removes a custom volume, in a cluster from the member `target`.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_volume(
        &self,
        pool: &str,
        name: &str,
        target: Option<&str>,
    ) -> Result<(), LxdError> {
        let request = Request::delete(&["storage-pools", pool, "volumes", "custom", name])
            .with_optional("project", self.project())
            .with_optional("target", target);
        self.start(request).await.map(|_| ())
    }
}
