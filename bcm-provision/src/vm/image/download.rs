//! Images from the network, kept by their digest.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use bcm_core::atomic_file;
use bcm_core::digest::{Sha256, Sha256Hasher};
use bcm_core::http::{HttpClient, HttpOptions, Request, Url};
use bcm_core::lock::FolderLock;
use bcm_core::progress::{Outcome, Unit};

use super::super::fleet::private_folder;
use super::super::{VmContext, VmError};

/// No image is larger.
const LARGEST: u64 = 64 << 30;

/// The image, downloaded unless it is there. What is cut off begins again.
pub(super) async fn ensure(
    context: &VmContext,
    url: &Url,
    expected: Sha256,
) -> Result<PathBuf, VmError> {
    private_folder(&context.cache)?;
    let path = context.cache.join(format!("{expected}.img"));
    // Nothing takes this name that was not checked.
    if path.is_file() {
        return Ok(path);
    }
    let lock = FolderLock::acquire(&context.cache.join(format!("{expected}.lock")))
        .map_err(VmError::Busy)?;
    let part = context.cache.join(format!("{expected}.part"));
    let shown = bcm_core::redact::url(url.as_str());
    let failed = |source| VmError::Download {
        url: shown.clone(),
        source,
    };
    let client = HttpClient::new(HttpOptions::default()).map_err(failed)?;
    let response = client.send(Request::get(url.clone())).await;
    let response = response
        .and_then(bcm_core::http::Response::success)
        .map_err(failed)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(VmError::io("create", &part))?;
    let name = format!("downloading {shown}");
    let progress = &context.progress;
    let task = progress.started(&name, Unit::Bytes, response.announced_length());
    let mut hasher = Sha256Hasher::default();
    let copied = response
        .copy_to(&mut file, LARGEST, |piece| {
            hasher.update(piece);
            progress.advanced(task, piece.len() as u64, piece.len() as u64);
        })
        .await;
    if let Err(error) = copied {
        progress.finished(task, &Outcome::Failed(error.to_string()));
        let _ = fs::remove_file(&part);
        return Err(failed(error));
    }
    let found = hasher.finish();
    if found != expected {
        let error = VmError::Checksum {
            image: shown.clone(),
            expected,
            found,
        };
        progress.finished(task, &Outcome::Failed(error.to_string()));
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    progress.finished(task, &Outcome::Done);
    file.sync_all()
        .and_then(|()| fs::rename(&part, &path))
        .map_err(VmError::io("keep", &path))?;
    atomic_file::sync_dir(&context.cache)?;
    drop(lock);
    Ok(path)
}
