//! Files in an instance.

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderMap;

use crate::client::Client;
use crate::error::{ApiError, LxdError};
use crate::request::Request;
use crate::response::{NoAnswer, open};

/// How a file in an instance is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMeta {
    /// Permission bits. Default 0o644.
    pub mode: u32,
    /// Owner. Default 0.
    pub uid: u32,
    /// Group. Default 0.
    pub gid: u32,
}

impl Default for FileMeta {
    fn default() -> Self {
        Self {
            mode: 0o644,
            uid: 0,
            gid: 0,
        }
    }
}

impl Client {
    /// Writes a file in an instance, replacing what is there.
    ///
    /// # Errors
    /// The call failed.
    pub async fn write_file(
        &self,
        instance: &str,
        path: &str,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<(), LxdError> {
        let request = self
            .file_request(Method::POST, instance, path, meta, "file")
            .with_bytes(content);
        self.call_empty(request).await
    }

    /// Makes a folder in an instance; its parent must exist.
    ///
    /// # Errors
    /// The call failed.
    pub async fn make_folder(
        &self,
        instance: &str,
        path: &str,
        meta: FileMeta,
    ) -> Result<(), LxdError> {
        self.call_empty(self.file_request(Method::POST, instance, path, meta, "directory"))
            .await
    }

    /// Reads a file in an instance.
    ///
    /// # Errors
    /// The call failed; see [`LxdError::is_not_found`].
    pub async fn read_file(&self, instance: &str, path: &str) -> Result<Bytes, LxdError> {
        let request = Request::get(&["instances", instance, "files"])
            .with_query("path", path)
            .with_optional("project", self.project());
        self.download(request).await.map(|(_, bytes)| bytes)
    }

    fn file_request(
        &self,
        method: Method,
        instance: &str,
        path: &str,
        meta: FileMeta,
        kind: &str,
    ) -> Request {
        let mut request = Request::new(method, &["instances", instance, "files"])
            .with_query("path", path)
            .with_optional("project", self.project());
        // The two flavours look for headers under their own names.
        for (lxd, incus, value) in [
            ("X-LXD-type", "X-Incus-type", kind.to_owned()),
            ("X-LXD-mode", "X-Incus-mode", format!("{:04o}", meta.mode)),
            ("X-LXD-uid", "X-Incus-uid", meta.uid.to_string()),
            ("X-LXD-gid", "X-Incus-gid", meta.gid.to_string()),
            ("X-LXD-write", "X-Incus-write", "overwrite".to_owned()),
        ] {
            let name = match self.flavour() {
                crate::Flavour::Lxd => lxd,
                crate::Flavour::Incus => incus,
            };
            request = request.with_header(name, value);
        }
        request
    }

    /// The bytes of an answer that is not in an envelope; an error still is.
    pub(crate) async fn download(&self, request: Request) -> Result<(HeaderMap, Bytes), LxdError> {
        let call = request.call();
        let (status, headers, bytes) = self
            .raw(request, std::time::Duration::from_secs(300))
            .await?;
        if status.is_success() {
            return Ok((headers, bytes));
        }
        let source = match open(status, &bytes) {
            Err(NoAnswer::Api(error)) => error,
            _ => ApiError {
                code: status.as_u16(),
                message: format!("status {status}"),
            },
        };
        Err(LxdError::Api {
            peer: self.peer().to_owned(),
            call,
            source,
        })
    }
}
