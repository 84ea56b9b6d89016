//! Takes a cluster, or what runs on it, away.

use std::time::Duration;

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::WaitError;
use crate::types::{InstanceAction, InstanceStatePut};

/// Something could not be taken away.
#[derive(Debug, thiserror::Error)]
#[error("could not remove {what}")]
pub struct TeardownError {
    /// What is still there.
    pub what: String,
    /// Why.
    pub source: WaitError,
}

/// What was taken away, in words.
pub type Removed = Vec<String>;

const LIMIT: Duration = Duration::from_secs(180);

/// Removes every instance, image, custom volume and profile of `project`. The project itself, the
/// pools and the networks stay.
///
/// # Errors
/// The first thing that could not be removed.
pub async fn clear_project(client: &Client, project: &str) -> Result<Removed, TeardownError> {
    let client = client.in_project(project);
    let mut removed = Removed::new();
    for instance in client.instances().await.map_err(failed("the instances"))? {
        let what = format!("instance {}", instance.name);
        if !instance.status.eq_ignore_ascii_case("stopped") {
            let stop = InstanceStatePut {
                action: InstanceAction::Stop,
                timeout: 30,
                force: true,
            };
            let stopped = async {
                client
                    .set_instance_state(&instance.name, &stop)
                    .await?
                    .wait(LIMIT)
                    .await
            };
            stopped.await.map_err(waited(&what))?;
        }
        let deleted = async {
            client
                .delete_instance(&instance.name)
                .await?
                .wait(LIMIT)
                .await
        };
        deleted.await.map_err(waited(&what))?;
        removed.push(what);
    }
    for image in client.images().await.map_err(failed("the images"))? {
        let what = format!(
            "image {}",
            &image.fingerprint[..12.min(image.fingerprint.len())]
        );
        let deleted = async {
            client
                .delete_image(&image.fingerprint)
                .await?
                .wait(LIMIT)
                .await
        };
        deleted.await.map_err(waited(&what))?;
        removed.push(what);
    }
    for pool in client.storage_pools().await.map_err(failed("the pools"))? {
        let volumes = client
            .volumes(&pool.entity.name)
            .await
            .map_err(failed(&pool.entity.name))?;
        for volume in volumes {
            if volume.kind != "custom" || volume.project != project {
                continue;
            }
            let what = format!("volume {} of pool {}", volume.name, pool.entity.name);
            let target = (!volume.location.is_empty() && volume.location != "none")
                .then_some(volume.location.as_str());
            client
                .delete_volume(&pool.entity.name, &volume.name, target)
                .await
                .map_err(failed(&what))?;
            removed.push(what);
        }
    }
    for profile in client.profiles().await.map_err(failed("the profiles"))? {
        if profile.name != "default" {
            client
                .delete_profile(&profile.name)
                .await
                .map_err(failed(&profile.name))?;
            removed.push(format!("profile {}", profile.name));
        }
    }
    Ok(removed)
}

/// Removes everything that a cluster holds: all projects' contents, then networks and pools with
/// what they have on disk, so that no bridge, pool or volume group stays behind.
///
/// # Errors
/// The first thing that could not be removed.
pub async fn empty_cluster(client: &Client) -> Result<Removed, TeardownError> {
    let mut removed = Removed::new();
    let projects = client.projects().await.map_err(failed("the projects"))?;
    for project in &projects {
        removed.extend(clear_project(client, &project.name).await?);
        // A default profile holds on to the pool and the network that it names.
        let profile = crate::types::Profile {
            name: "default".to_owned(),
            ..crate::types::Profile::default()
        };
        client
            .in_project(&project.name)
            .put_profile(&profile)
            .await
            .map_err(failed("the default profile"))?;
    }
    for project in projects.iter().filter(|p| p.name != "default") {
        client
            .delete_project(&project.name)
            .await
            .map_err(failed(&project.name))?;
        removed.push(format!("project {}", project.name));
    }
    for network in client.networks().await.map_err(failed("the networks"))? {
        if network.managed {
            client
                .delete_network(&network.entity.name)
                .await
                .map_err(failed(&network.entity.name))?;
            removed.push(format!("network {}", network.entity.name));
        }
    }
    for pool in client.storage_pools().await.map_err(failed("the pools"))? {
        client
            .delete_storage_pool(&pool.entity.name)
            .await
            .map_err(failed(&pool.entity.name))?;
        removed.push(format!("storage pool {}", pool.entity.name));
    }
    Ok(removed)
}

fn failed(what: &str) -> impl FnOnce(LxdError) -> TeardownError {
    let what = what.to_owned();
    move |source| TeardownError {
        what,
        source: source.into(),
    }
}

fn waited(what: &str) -> impl FnOnce(WaitError) -> TeardownError {
    let what = what.to_owned();
    move |source| TeardownError { what, source }
}
