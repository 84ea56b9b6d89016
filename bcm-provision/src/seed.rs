//! Seed volumes: small FAT file systems that an installer or cloud-init reads its answers from.
//!
//! cloud-init's NoCloud source takes any volume whose label is `cidata`, in small or capital letters,
//! with `user-data` and `meta-data` in its root folder, and reads `network-config` where it is there
//! (cloud-init's documentation, "NoCloud").

use std::io::{self, Cursor, Write};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

/// The label by which NoCloud finds its volume.
pub const NOCLOUD: &str = "CIDATA";

/// A volume could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// FAT's labels are short.
    #[error("{label:?} is no label of a FAT volume: it takes 1 to 11 capital letters and digits")]
    Label {
        /// What was given.
        label: String,
    },
    /// A file could not be put onto it.
    #[error("cannot put {name} onto the seed volume")]
    File {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The file system could not be made.
    #[error("cannot make the seed volume's file system")]
    Format(#[source] io::Error),
}

/// Makes a volume without a partition table, with `files` (name, content) in its root folder. The same
/// input gives the same bytes.
///
/// # Errors
///
/// When the label is not one, or a name cannot be a file's.
pub fn volume(label: &str, files: &[(&str, &[u8])]) -> Result<Vec<u8>, SeedError> {
    let fits = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    if label.is_empty() || label.len() > 11 || !label.bytes().all(fits) {
        let label = label.to_owned();
        return Err(SeedError::Label { label });
    }
    let mut padded = [b' '; 11];
    padded[..label.len()].copy_from_slice(label.as_bytes());
    let content: usize = files.iter().map(|(_, bytes)| bytes.len() + CLUSTERS).sum();
    let size = (content + SMALLEST).next_multiple_of(SMALLEST);
    let mut bytes = vec![0; size];
    let options = FormatVolumeOptions::new().volume_label(padded);
    fatfs::format_volume(Cursor::new(&mut bytes), options).map_err(SeedError::Format)?;
    {
        let system = FileSystem::new(Cursor::new(&mut bytes), FsOptions::new())
            .map_err(SeedError::Format)?;
        for (name, content) in files {
            let written = system
                .root_dir()
                .create_file(name)
                .and_then(|mut file| file.write_all(content));
            written.map_err(|source| SeedError::File {
                name: (*name).to_owned(),
                source,
            })?;
        }
        system.unmount().map_err(SeedError::Format)?;
    }
    Ok(bytes)
}

/// The size of a volume with next to nothing on it; others are multiples of it.
const SMALLEST: usize = 1 << 20;

/// What a file may take beyond its length: the rest of its last cluster, and its names.
const CLUSTERS: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_onto_it_is_there() {
        let long = vec![7; 3 << 20];
        let files: [(&str, &[u8]); 2] = [("user-data", b"#cloud-config\n"), ("much", &long)];
        let made = volume(NOCLOUD, &files).unwrap();
        assert_eq!(made, volume(NOCLOUD, &files).unwrap());
        let system = FileSystem::new(Cursor::new(made), FsOptions::new()).unwrap();
        assert_eq!(
            system.read_volume_label_from_root_dir().unwrap().unwrap(),
            "CIDATA"
        );
        for (name, content) in files {
            let mut read = Vec::new();
            io::Read::read_to_end(&mut system.root_dir().open_file(name).unwrap(), &mut read)
                .unwrap();
            assert_eq!(read, content, "{name}");
        }
    }

    #[test]
    fn a_label_that_fat_has_no_room_for() {
        for label in ["", "cidata", "TWELVELETTER", "A B"] {
            let error = volume(label, &[]).unwrap_err();
            assert!(error.to_string().contains(label), "{error}");
        }
    }
}
