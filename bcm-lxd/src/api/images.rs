//! Images.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

use crate::client::Client;
use crate::error::LxdError;
use crate::operation::OperationHandle;
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

    /// Imports an image; the operation's metadata has its `fingerprint`.
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
        self.start(request.with_optional("project", self.project()))
            .await
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
