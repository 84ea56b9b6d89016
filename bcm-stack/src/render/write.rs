//! Puts files into a folder, without losing what somebody changed there.

use std::path::Path;

use bcm_core::folder_files::{self, FolderFile};
pub use bcm_core::folder_files::{Change, WriteError};

use super::RenderedFile;

/// What writing `files` into `dir` would do to each.
///
/// # Errors
/// A file that is there cannot be read.
pub fn plan(dir: &Path, files: &[RenderedFile]) -> Result<Vec<Change>, WriteError> {
    folder_files::plan(dir, &plain(files))
}

/// Writes `files` into `dir`, as [`folder_files::write`] does.
///
/// # Errors
/// See [`WriteError`].
pub fn write(dir: &Path, files: &[RenderedFile], replace: bool) -> Result<Vec<Change>, WriteError> {
    folder_files::write(dir, &plain(files), replace)
}

fn plain(files: &[RenderedFile]) -> Vec<FolderFile<'_>> {
    files
        .iter()
        .map(|file| FolderFile {
            name: file.name,
            content: file.content.as_bytes(),
            mode: file.mode,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::Domain;
    use crate::render::{BaseImage, RenderOptions, compose, systemd};

    fn domain() -> Domain {
        Domain::new("example.test").unwrap()
    }

    #[test]
    fn what_was_changed_by_hand_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let files = compose(&RenderOptions::new(domain()), &BaseImage::default());
        let changes = write(&dir, &files, false).unwrap();
        assert!(changes.iter().all(|change| *change == Change::Created));
        let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("mirror.env"), 0o600);
        fs::write(dir.join(".env"), "mine").unwrap();
        fs::write(dir.join("notes"), "mine").unwrap();
        let refused = write(&dir, &files, false).unwrap_err();
        assert!(
            refused.to_string().ends_with("different: .env"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(dir.join(".env")).unwrap(), "mine");
        let changes = write(&dir, &files, true).unwrap();
        let replaced = changes.iter().filter(|change| **change == Change::Replaced);
        assert_eq!(replaced.count(), 1);
        let changes = write(&dir, &files, false).unwrap();
        assert!(changes.iter().all(|change| *change == Change::Unchanged));
        assert_eq!(fs::read_to_string(dir.join("notes")).unwrap(), "mine");
    }

    #[test]
    fn no_place_of_a_template_is_left_open() {
        let mut files = compose(&RenderOptions::new(domain()), &BaseImage::default());
        files.extend(systemd(&RenderOptions::new(domain())));
        for file in files {
            for word in [
                "DOMAIN",
                "FOLDER",
                "BASE",
                "USER",
                "CERTIFICATES",
                "CERTS",
                "HUB",
                "BOOTSTRAP",
                "ZDB",
                "HEALTH",
            ] {
                let place = format!("@{word}@");
                assert!(!file.content.contains(&place), "{}: {place}", file.name);
            }
        }
    }
}
