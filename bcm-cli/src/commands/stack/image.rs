//! The image that instances are made from.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bcm_lxd::Flavour;
use bcm_lxd::api::RemoteImage;
use bcm_lxd::cluster::PROJECT;
use bcm_lxd::image::{ImageRecipe, build_image};
use bcm_stack::manifest::Manifest;

use super::cluster::OnCluster;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// How long an image may take to be taken in.
const IMPORT: Duration = Duration::from_secs(600);

/// The fingerprint of the image that was meant: an alias or fingerprint in the cluster, a file, one of the engine's
/// server, or, where nothing was said, one that is built of Debian's packages.
pub(super) async fn ensure(
    context: &Context,
    cluster: &OnCluster,
    manifest: &Manifest,
    said: Option<&str>,
) -> Result<String, Failure> {
    let Some(said) = said else {
        return build(context, cluster, manifest).await;
    };
    if let Some(alias) = said.strip_prefix("images:") {
        return pull(context, cluster, alias).await;
    }
    let alias = cluster
        .client
        .image_alias(said)
        .await
        .map_err(Failure::new)?;
    if let Some(alias) = alias {
        return Ok(alias.target);
    }
    let images = cluster.client.images().await.map_err(Failure::new)?;
    if let Some(image) = images
        .iter()
        .find(|image| said.len() >= 12 && image.fingerprint.starts_with(said))
    {
        return Ok(image.fingerprint.clone());
    }
    let path = context.settings.environment().folder.join(said);
    if !path.is_file() {
        return Err(Failure::usage(format!(
            "{said} is neither an image in the project {PROJECT} nor a file"
        ))
        .with_hint("without --image, one is built on a member from Debian's packages"));
    }
    import(cluster, &path).await
}

/// Takes the file of an image in.
async fn import(cluster: &OnCluster, path: &Path) -> Result<String, Failure> {
    let importing = cluster.client.import_image_file(path).await;
    let waited = importing.map_err(Failure::new)?.wait(IMPORT).await;
    let operation = waited.map_err(Failure::new)?;
    let fingerprint = operation
        .metadata
        .get("fingerprint")
        .and_then(|f| f.as_str());
    fingerprint
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage("the engine gave the image no fingerprint"))
}

/// Has the engine fetch an image from the server of images that it comes with.
async fn pull(context: &Context, cluster: &OnCluster, alias: &str) -> Result<String, Failure> {
    let server = match cluster.client.flavour() {
        Flavour::Lxd => "https://images.lxd.canonical.com",
        Flavour::Incus => "https://images.linuxcontainers.org",
    };
    context
        .reporter
        .say(&format!("fetching the image {alias} from {server}"));
    let image = RemoteImage {
        server: server.to_owned(),
        alias: alias.to_owned(),
    };
    let pulled = cluster.client.pull_image(&image, IMPORT).await;
    pulled.map_err(|error| {
        Failure::new(error)
            .with_hint("without --image, one is built on a member from Debian's packages")
    })
}

/// Builds one on the first member where that can be done.
async fn build(
    context: &Context,
    cluster: &OnCluster,
    manifest: &Manifest,
) -> Result<String, Failure> {
    let packages = manifest
        .instances
        .iter()
        .flat_map(|kind| kind.packages.clone());
    let alias = format!("bcm-{}", manifest.name);
    let recipe = ImageRecipe::new(PROJECT, &alias, packages)
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let mut last = None;
    for machine in &cluster.machines {
        let reporter = context.reporter.clone();
        let host = machine.host().to_owned();
        let say = move |text: &str| reporter.say(&format!("image on {host}: {text}"));
        let building = build_image(machine, cluster.client.flavour(), &recipe, Arc::new(say));
        match building.await {
            Ok(built) => return Ok(built.fingerprint),
            Err(error) => {
                // Another member may have what this one lacks.
                context.reporter.warn(&bcm_core::cause::chain(&error));
                last = Some(error);
            }
        }
    }
    Err(match last {
        Some(error) => Failure::new(error).with_hint("name an image with --image"),
        None => Failure::usage("no member can be reached to build an image on"),
    })
}
