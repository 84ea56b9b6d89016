//! The image that instances are made from.

use std::path::Path;
use std::time::Duration;

use bcm_lxd::api::ImageFiles;
use bcm_lxd::cluster::PROJECT;
use bcm_stack::manifest::Manifest;

use super::cluster::OnCluster;
use crate::commands::Context;
use crate::diagnostics::Failure;

/// How long an image may take to be taken in.
const IMPORT: Duration = Duration::from_secs(600);

/// The fingerprint of the image that was meant: an alias or fingerprint in the cluster, a file, or, where
/// nothing was said, one that is built of Debian's packages.
pub(super) async fn ensure(
    context: &Context,
    cluster: &OnCluster,
    manifest: &Manifest,
    said: Option<&str>,
) -> Result<String, Failure> {
    let Some(said) = said else {
        return build(context, cluster, manifest).await;
    };
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
    import(context, cluster, &path).await
}

/// Takes the file of an image in.
async fn import(_context: &Context, cluster: &OnCluster, path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::new)?;
    let importing = cluster
        .client
        .import_image(ImageFiles::Unified(bytes.into()))
        .await
        .map_err(Failure::new)?;
    let operation = importing.wait(IMPORT).await.map_err(Failure::new)?;
    let fingerprint = operation
        .metadata
        .get("fingerprint")
        .and_then(|f| f.as_str());
    fingerprint
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage("the engine gave the image no fingerprint"))
}

async fn build(
    _context: &Context,
    _cluster: &OnCluster,
    _manifest: &Manifest,
) -> Result<String, Failure> {
    Err(Failure::usage("name an image with --image"))
}
