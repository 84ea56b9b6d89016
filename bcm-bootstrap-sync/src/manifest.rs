//! What each kernel is, and what upstream said of it: `bootstrap/manifest.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_core::digest::Sha256;
use bcm_core::http::Validators;
use serde::{Deserialize, Serialize};

use crate::kernel::KernelName;
use crate::report::Summary;
use crate::run_mode::RunMode;

/// The format that this version writes.
pub const VERSION: u32 = 1;

/// A kernel that was verified when it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Bytes.
    pub size: u64,
    /// Its content.
    pub sha256: Sha256,
    /// Its time in seconds since 1970, as upstream lists it; the file has it too.
    pub timestamp: i64,
    /// Whether upstream lists it. A kernel that only a run mode's link leads to is not.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub listed: bool,
    /// The upstream that it came from.
    pub source: String,
    /// What that upstream said of this version.
    #[serde(default, flatten)]
    pub validators: Validators,
    /// When upstream last said that this is its version, in seconds since 1970.
    #[serde(default)]
    pub checked: i64,
}

/// The link of a run mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it leads to here.
    pub kernel: KernelName,
    /// Whether it stays, whatever upstream does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// When it was last turned here, in seconds since 1970.
    #[serde(default)]
    pub turned: i64,
    /// What it leads to upstream, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamLink>,
}

/// What upstream said of a run mode's link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamLink {
    /// The kernel that has the same content.
    pub kernel: KernelName,
    /// The content.
    pub sha256: Sha256,
    /// Who said so.
    pub source: String,
    /// Of this version.
    #[serde(flatten)]
    pub validators: Validators,
}

/// All that is known. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format.
    pub version: u32,
    /// The upstream that the list came from last.
    #[serde(default)]
    pub upstream: Option<String>,
    /// When a sync last ran to its end, whatever came of it.
    #[serde(default)]
    pub last_attempt: Option<i64>,
    /// When a sync last ran to its end with nothing refused.
    #[serde(default)]
    pub last_success: Option<i64>,
    /// What the last sync did.
    #[serde(default)]
    pub last_report: Option<Summary>,
    /// The kernels.
    #[serde(default)]
    pub kernels: BTreeMap<KernelName, Kernel>,
    /// The run modes.
    #[serde(default)]
    pub links: BTreeMap<RunMode, Link>,
    /// Kernels that are not wanted any more, and since when.
    #[serde(default)]
    pub tombstones: BTreeMap<KernelName, i64>,
}

/// The manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is there, but cannot be read.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be written.
    #[error("could not save the manifest")]
    Write(#[from] AtomicFileError),
    /// It could not be put into JSON.
    #[error("could not put the manifest into JSON")]
    Format(#[source] serde_json::Error),
    /// A newer version of this program wrote it.
    #[error(
        "{} has the format {version}, and this version knows {VERSION}: use the newer version, or remove \
         the file to compare everything again", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
}

/// A manifest and what there is to say about its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What is known; nothing where there was no file or it could not be read.
    pub manifest: Manifest,
    /// Set when the file is damaged: what is wrong with it.
    pub damaged: Option<String>,
}

impl Manifest {
    /// Reads the file `path`. One that is not there or damaged means that nothing is known: the
    /// next sync hashes the kernels that are here, and compares them with upstream.
    ///
    /// # Errors
    /// It cannot be read, or comes from a newer version.
    pub fn load(path: &Path) -> Result<Loaded, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let empty = Self {
            version: VERSION,
            ..Self::default()
        };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Loaded {
                    manifest: empty,
                    damaged: None,
                });
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(ManifestError::Io { path, source });
            }
        };
        let parsed = serde_json::from_slice(&text).and_then(|Version { version }| {
            if version > VERSION {
                return Ok(Err(version));
            }
            serde_json::from_slice(&text).map(Ok)
        });
        Ok(match parsed {
            Ok(Ok(manifest)) => Loaded {
                manifest,
                damaged: None,
            },
            Ok(Err(version)) => {
                let path = path.to_owned();
                return Err(ManifestError::Newer { path, version });
            }
            Err(error) => Loaded {
                manifest: empty,
                damaged: Some(error.to_string()),
            },
        })
    }

    /// Writes the file `path`, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ManifestError> {
        let text = serde_json::to_vec_pretty(self).map_err(ManifestError::Format)?;
        Ok(atomic_file::write(path, &text, 0o644)?)
    }

    /// The kernels that have this content.
    pub fn with_content(&self, sha256: &Sha256) -> impl Iterator<Item = &KernelName> {
        let sha256 = *sha256;
        self.kernels
            .iter()
            .filter(move |(_, kernel)| kernel.sha256 == sha256)
            .map(|(name, _)| name)
    }
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_true(value: &bool) -> bool {
    *value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_damaged_and_newer_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let empty = Manifest::load(&path).unwrap();
        assert_eq!((empty.manifest.version, empty.damaged), (VERSION, None));
        for damaged in ["", "{", "[]", r#"{"version": 1, "kernels": {"../x": {}}}"#] {
            fs::write(&path, damaged).unwrap();
            let loaded = Manifest::load(&path).unwrap();
            assert!(loaded.damaged.is_some(), "{damaged:?}");
            assert!(loaded.manifest.kernels.is_empty());
        }
        fs::write(&path, r#"{"version": 2}"#).unwrap();
        let error = Manifest::load(&path).unwrap_err();
        assert!(matches!(error, ManifestError::Newer { version: 2, .. }));
    }

    #[test]
    fn it_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let mut manifest = Manifest::load(&path).unwrap().manifest;
        let name = KernelName::new("k.efi").unwrap();
        let kernel = Kernel {
            size: 3,
            sha256: Sha256::of(b"abc"),
            timestamp: 7,
            listed: true,
            source: "http://a.test/".to_owned(),
            validators: Validators::default(),
            checked: 8,
        };
        manifest.kernels.insert(name.clone(), kernel);
        let link = Link {
            kernel: name.clone(),
            pinned: true,
            turned: 9,
            upstream: None,
        };
        manifest.links.insert(RunMode::new("prod").unwrap(), link);
        manifest.save(&path).unwrap();
        assert_eq!(Manifest::load(&path).unwrap().manifest, manifest);
        let named: Vec<_> = manifest.with_content(&Sha256::of(b"abc")).collect();
        assert_eq!(named, [&name]);
    }
}
