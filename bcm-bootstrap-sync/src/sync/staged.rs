//! What is in the staging folder: downloads that are not whole, and what is known of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::digest::{Sha256, Sha256Hasher};
use bcm_core::http::Validators;
use serde::{Deserialize, Serialize};

use super::download::Fetched;
use crate::content;
use crate::kernel::KernelName;
use crate::layout::Layout;
use crate::local::{self, LocalError};

/// What is known of a file in the staging folder, kept beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) source: String,
    #[serde(flatten)]
    pub(super) validators: Validators,
    /// Bytes of the whole, where upstream says it.
    pub(super) size: Option<u64>,
    /// Set when all of it is here.
    #[serde(default)]
    pub(super) sha256: Option<Sha256>,
}

/// The files of one download in the staging folder.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) part: PathBuf,
    pub(super) note: PathBuf,
}

/// What an earlier attempt left.
pub(super) enum Begun {
    Nothing,
    /// The beginning of it; `file` is where more is to be written.
    Part {
        note: Box<Note>,
        have: u64,
        file: File,
        hasher: Sha256Hasher,
    },
    /// All of it.
    Whole(Box<Fetched>),
}

impl Begun {
    /// Looks for what is of use: only of the same upstream, whose versions can be compared.
    pub(super) async fn find(
        staged: &Staged,
        place: Option<&Path>,
        source: &str,
    ) -> Result<Self, LocalError> {
        let note: Option<Note> = fs::read(&staged.note)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let Some(note) = note.filter(|note| note.source == source && !note.validators.is_empty())
        else {
            return Ok(Self::Nothing);
        };
        if let Some(sha256) = note.sha256 {
            let places = [Some(staged.part.clone()), place.map(Path::to_owned)];
            for (at, path) in places.into_iter().enumerate() {
                let Some(path) = path else { continue };
                let hashed = hash_start(path.clone()).await;
                if let Ok((_, hasher, size)) = hashed
                    && hasher.finish() == sha256
                {
                    return Ok(Self::Whole(Box::new(Fetched {
                        path: (at == 0).then_some(path),
                        size,
                        sha256,
                        validators: note.validators,
                        source: note.source,
                        bytes: 0,
                        resumed: size,
                    })));
                }
            }
            return Ok(Self::Nothing);
        }
        match hash_start(staged.part.clone()).await {
            // It ended between the last byte and the note that says so.
            Ok((file, hasher, have)) if have > 0 && note.size == Some(have) => {
                let sha256 = hasher.finish();
                if !is_kernel(file, staged.part.clone()).await {
                    return Ok(Self::Nothing);
                }
                Ok(Self::Whole(Box::new(Fetched {
                    path: Some(staged.part.clone()),
                    size: have,
                    sha256,
                    validators: note.validators,
                    source: note.source,
                    bytes: 0,
                    resumed: have,
                })))
            }
            Ok((file, hasher, have)) if have > 0 && note.size.is_none_or(|all| have < all) => {
                Ok(Self::Part {
                    note: Box::new(note),
                    have,
                    file,
                    hasher,
                })
            }
            _ => Ok(Self::Nothing),
        }
    }

    /// Begins anew.
    pub(super) fn start(staged: &Staged, note: &Note) -> Result<Self, LocalError> {
        staged.discard()?;
        staged.write(note)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staged.part)
            .map_err(|error| LocalError::new("create", &staged.part, error))?;
        Ok(Self::Part {
            note: Box::new(note.clone()),
            have: 0,
            file,
            hasher: Sha256Hasher::default(),
        })
    }
}

/// Hashes what is in a file, and opens it for writing.
async fn hash_start(path: PathBuf) -> io::Result<(File, Sha256Hasher, u64)> {
    let hash = move || {
        let (mut reader, _) = local::open(&path)?;
        let mut hasher = Sha256Hasher::default();
        let mut hashed = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match io::Read::read(&mut reader, &mut buffer)? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    hashed += n as u64;
                }
            }
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        Ok((file, hasher, hashed))
    };
    let hashed = tokio::task::spawn_blocking(hash).await;
    hashed.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Brings a whole download to the disk, and looks whether it can be a kernel.
async fn is_kernel(file: File, path: PathBuf) -> bool {
    let checked = tokio::task::spawn_blocking(move || {
        file.sync_all()?;
        content::check(&File::open(path)?)
    });
    matches!(checked.await, Ok(Ok(Ok(()))))
}

impl Staged {
    pub(super) fn discard(&self) -> Result<(), LocalError> {
        local::remove(&self.part)?;
        local::remove(&self.note)
    }

    pub(super) fn write(&self, note: &Note) -> Result<(), LocalError> {
        let failed = |error: io::Error| LocalError::new("write", &self.note, error);
        let text = serde_json::to_vec(note).map_err(|error| failed(error.into()))?;
        atomic_file::write(&self.note, &text, 0o644)
            .map_err(|error| failed(error.io_error().kind().into()))
    }
}

/// The content of a kernel that a sync has fetched, and perhaps published, but not noted yet.
pub(crate) fn unnoted(layout: &Layout, name: &KernelName) -> Option<Sha256> {
    let note = layout.staging().join(format!("{name}.json"));
    let note: Note = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    note.sha256
}

/// Removes from the staging folder what does not belong to `kept`.
pub(super) fn clean(layout: &Layout, kept: impl Fn(&str) -> bool) -> Result<(), LocalError> {
    let folder = layout.staging();
    let failed = |error| LocalError::new("read the folder", &folder, error);
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        let base = name.strip_suffix(".part").or(name.strip_suffix(".json"));
        if !base.is_some_and(&kept) {
            remove_any(&path)?;
        }
    }
    Ok(())
}

fn remove_any(path: &Path) -> Result<(), LocalError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            fs::remove_dir_all(path).map_err(|error| LocalError::new("remove", path, error))
        }
        _ => local::remove(path),
    }
}
