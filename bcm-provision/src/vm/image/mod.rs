//! The disks that machines start from: given, downloaded, or built from Debian's packages.

mod apt;
mod debian;
mod download;
mod format;

use std::path::{Path, PathBuf};

use bcm_core::digest::Sha256;
use bcm_core::http::Url;
use bcm_core::progress::watched;
use serde::{Deserialize, Serialize};

pub use apt::{AptSources, HostRelease};
pub use debian::{DebianImage, LABEL};
pub use format::{Format, ImageKind};

use super::{VmContext, VmError};

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A file with a boot loader and cloud-init in it; its checksum where it is to be compared.
    File(PathBuf, Option<Sha256>),
    /// The same, over HTTP or HTTPS.
    Url(Url, Sha256),
    /// Built from Debian's packages.
    Debian,
}

/// How a machine boots from its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The disk's format.
    pub format: Format,
    /// Whether QEMU starts the kernel beside the disk. Otherwise the disk has a boot loader.
    pub kernel: bool,
}

/// An image that machines' disks are copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The disk.
    pub disk: PathBuf,
    /// Its format.
    pub format: Format,
    /// The size of the disk that a machine sees, in bytes.
    pub size: u64,
    /// A kernel and an initial RAM disk, where it has no boot loader.
    pub kernel: Option<(PathBuf, PathBuf)>,
}

impl Image {
    /// How machines boot from it.
    #[must_use]
    pub fn boot(&self) -> Boot {
        Boot {
            format: self.format,
            kernel: self.kernel.is_some(),
        }
    }
}

/// The image of `source`, in the cache where it has to be made.
///
/// # Errors
/// It is not there, is none, is not the one that was meant, or could not be made.
pub(crate) async fn ensure(context: &VmContext, source: &ImageSource) -> Result<Image, VmError> {
    match source {
        ImageSource::File(path, expected) => {
            if let Some(expected) = expected {
                let (path, expected) = (path.clone(), *expected);
                let name = format!("checking {}", path.display());
                let checked = async move { check(&path, expected).await };
                watched(&context.progress, &name, checked).await?;
            }
            opened(path, &path.display().to_string())
        }
        ImageSource::Url(url, expected) => {
            let path = download::ensure(context, url, *expected).await?;
            opened(&path, &bcm_core::redact::url(url.as_str()))
        }
        ImageSource::Debian => debian::ensure(context).await,
    }
}

async fn check(path: &Path, expected: Sha256) -> Result<(), VmError> {
    let of = path.to_owned();
    let found =
        tokio::task::spawn_blocking(move || std::fs::File::open(&of).and_then(Sha256::of_reader))
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(VmError::io("read", path))?;
    match found == expected {
        true => Ok(()),
        false => Err(VmError::Checksum {
            image: path.display().to_string(),
            expected,
            found,
        }),
    }
}

/// The file `path` as an image; `name` is what people call it.
fn opened(path: &Path, name: &str) -> Result<Image, VmError> {
    let kind = format::of_file(path).map_err(VmError::io("read the image", path))?;
    match kind {
        ImageKind::Disk(format, size) => Ok(Image {
            disk: path.to_owned(),
            format,
            size,
            kernel: None,
        }),
        ImageKind::Other(why) => Err(VmError::Image {
            image: name.to_owned(),
            why: why.to_owned(),
        }),
    }
}
