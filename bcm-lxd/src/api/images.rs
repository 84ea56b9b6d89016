//! Images.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::{OperationHandle, WaitError};
use crate::request::Request;
use crate::types::{Image, ImageAlias};

/// The files of an image that is imported.
#[derive(Debug, Clone)]
pub enum ImageFiles {
    /// One tar archive with `metadata.yaml` and `rootfs/`.
    Unified(Bytes),
    /// A small archive with `metadata.yaml`, and the root file system as squashfs.
    Split {
        /// The archive with `metadata.yaml`.
        metadata: Bytes,
        /// The root file system.
        rootfs: Bytes,
    },
}

/// How long sending an image to the engine may take.
pub const UPLOAD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// An image on a server that speaks simplestreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    /// The server, such as `https://images.linuxcontainers.org`.
    pub server: String,
    /// What the server calls it, such as `debian/12`.
    pub alias: String,
}

impl fmt::Display for RemoteImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {}",
            self.alias,
            bcm_core::redact::url(&self.server)
        )
    }
}

/// The engine could not fetch an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// It could not, or not in time.
    #[error("the engine could not fetch the image {image}")]
    Failed {
        /// The image.
        image: RemoteImage,
        /// Its words.
        source: WaitError,
    },
    /// It said that it has, and not what.
    #[error("the engine fetched the image {image} and did not say which it is")]
    NoFingerprint {
        /// The image.
        image: RemoteImage,
    },
}

const BOUNDARY: &str = "bcm-image-7f3a9c51d2e84b06";

impl Client {
    /// The images of this client's project.
    ///
    /// # Errors
    /// The call failed.
    pub async fn images(&self) -> Result<Vec<Image>, LxdError> {
        self.call_list(
            Request::get(&["images"])
                .with_query("recursion", "1")
                .with_optional("project", self.project()),
        )
        .await
    }

    /// The image that `alias` names, if there is one.
    ///
    /// # Errors
    /// The call failed.
    pub async fn image_alias(&self, alias: &str) -> Result<Option<ImageAlias>, LxdError> {
        let request =
            Request::get(&["images", "aliases", alias]).with_optional("project", self.project());
        match self.call(request).await {
            Ok(alias) => Ok(Some(alias)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Imports an image; the operation's metadata has its `fingerprint`. Sending it may take
    /// [`UPLOAD_LIMIT`].
    ///
    /// # Errors
    /// The call failed.
    pub async fn import_image(&self, files: ImageFiles) -> Result<OperationHandle, LxdError> {
        let request = Request::post(&["images"], &json!({}));
        let request = match files {
            ImageFiles::Unified(archive) => request
                .with_bytes(archive)
                .with_header("X-LXD-filename", "image.tar"),
            ImageFiles::Split { metadata, rootfs } => {
                request.with_multipart(BOUNDARY, multipart(&metadata, &rootfs))
            }
        };
        self.start_within(
            request.with_optional("project", self.project()),
            UPLOAD_LIMIT,
        )
        .await
    }

    /// Imports an image from a file of this machine: one tar archive with `metadata.yaml` and `rootfs/`,
    /// compressed or not. The file is sent piece by piece, however large it is. Sending it may take
    /// [`UPLOAD_LIMIT`].
    ///
    /// # Errors
    /// The file cannot be read ([`LxdError::File`]), or the call failed.
    pub async fn import_image_file(&self, path: &Path) -> Result<OperationHandle, LxdError> {
        let request = Request::post(&["images"], &json!({}))
            .with_file(path)
            .with_header("X-LXD-filename", "image.tar");
        self.start_within(
            request.with_optional("project", self.project()),
            UPLOAD_LIMIT,
        )
        .await
    }

    /// Lets the engine fetch an image from a server of images, and gives its fingerprint. Where the engine
    /// has it already, nothing is fetched. After `limit` the engine is told to give up.
    ///
    /// # Errors
    /// The engine cannot reach the server, finds no such image there, or took too long.
    pub async fn pull_image(
        &self,
        image: &RemoteImage,
        limit: Duration,
    ) -> Result<String, PullError> {
        let failed = |source| PullError::Failed {
            image: image.clone(),
            source,
        };
        let request = Request::post(
            &["images"],
            &json!({
                "source": {
                    "type": "image",
                    "mode": "pull",
                    "server": image.server,
                    "protocol": "simplestreams",
                    "alias": image.alias,
                },
            }),
        )
        .with_optional("project", self.project());
        let operation = self.start(request).await.map_err(|e| failed(e.into()))?;
        match operation.clone().wait(limit).await {
            Ok(done) => match done.metadata["fingerprint"].as_str() {
                Some(fingerprint) => Ok(fingerprint.to_owned()),
                None => Err(PullError::NoFingerprint {
                    image: image.clone(),
                }),
            },
            Err(error) => {
                if matches!(error, WaitError::Timeout(_)) {
                    // What was waited for is the error, whether or not the engine listens.
                    let _ = operation.cancel().await;
                }
                Err(failed(error))
            }
        }
    }

    /// Gives an image a name.
    ///
    /// # Errors
    /// The call failed; see [`LxdError::is_conflict`] where the name is taken.
    pub async fn create_image_alias(&self, alias: &ImageAlias) -> Result<(), LxdError> {
        self.call_empty(
            Request::post(&["images", "aliases"], alias).with_optional("project", self.project()),
        )
        .await
    }

    /// Lets a name lead to another image.
    ///
    /// # Errors
    /// The call failed.
    pub async fn move_image_alias(&self, alias: &str, fingerprint: &str) -> Result<(), LxdError> {
        let body = json!({ "target": fingerprint, "description": "" });
        self.call_empty(
            Request::put(&["images", "aliases", alias], &body)
                .with_optional("project", self.project()),
        )
        .await
    }

    /// Removes an image and its names.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_image(&self, fingerprint: &str) -> Result<OperationHandle, LxdError> {
        self.start(
            Request::delete(&["images", fingerprint]).with_optional("project", self.project()),
        )
        .await
    }
}

fn multipart(metadata: &[u8], rootfs: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(metadata.len() + rootfs.len() + 512);
    for (name, file, content) in [
        ("metadata", "metadata.tar", metadata),
        ("rootfs", "rootfs.squashfs", rootfs),
    ] {
        body.put_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; \
                 filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.put_slice(content);
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.freeze()
}

#[cfg(test)]
mod tests;
