//! The prebuilt iPXE that media are made of.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bcm_core::digest::Md5;
use bytes::Bytes;

use super::{MediaError, efi::Efi, krn::Lkrn};

/// No iPXE is longer.
const LONGEST: u64 = 16 << 20;

/// A prebuilt iPXE: `ipxe.lkrn` for BIOS, `ipxe.efi` and `snponly.efi` for UEFI on x86-64. Each may be
/// missing or unusable; that is an error only of the media that need it. What was read is kept in memory
/// (about 2 MB); cloning is cheap.
#[derive(Debug, Clone)]
pub struct Prebuilt {
    lkrn: Result<Lkrn, Cause>,
    efi: Result<Efi, Cause>,
    snponly: Result<Efi, Cause>,
    digest: Md5,
}

/// Why a file is not there; what [`MediaError`] is made of, again for each request.
#[derive(Debug, Clone)]
enum Cause {
    Missing(&'static str, Vec<PathBuf>),
    Read(PathBuf, io::ErrorKind),
    Unusable(PathBuf, &'static str),
}

impl Prebuilt {
    /// Where Debian's package `ipxe` has its files.
    pub const FOLDERS: [&str; 2] = ["/usr/lib/ipxe", "/boot"];

    /// Reads the files from the first of `folders` that has them, file by file. Blocks.
    #[must_use]
    pub fn read(folders: &[PathBuf]) -> Self {
        let mut digests = String::new();
        Self {
            lkrn: find(folders, "ipxe.lkrn", &mut digests, |file| Lkrn::new(&file)),
            efi: find(folders, "ipxe.efi", &mut digests, Efi::new),
            snponly: find(folders, "snponly.efi", &mut digests, Efi::new),
            digest: Md5::of(digests.as_bytes()),
        }
    }

    /// Tells one set of files from another.
    pub(crate) fn digest(&self) -> Md5 {
        self.digest
    }

    pub(crate) fn lkrn(&self) -> Result<&Lkrn, MediaError> {
        self.lkrn.as_ref().map_err(Cause::error)
    }

    pub(crate) fn efi(&self) -> Result<&Efi, MediaError> {
        self.efi.as_ref().map_err(Cause::error)
    }

    pub(crate) fn snponly(&self) -> Result<&Efi, MediaError> {
        self.snponly.as_ref().map_err(Cause::error)
    }
}

impl Cause {
    fn error(&self) -> MediaError {
        match self {
            Self::Missing(file, folders) => MediaError::Missing {
                file,
                folders: folders.clone(),
            },
            Self::Read(path, kind) => MediaError::Read {
                path: path.clone(),
                source: (*kind).into(),
            },
            Self::Unusable(path, reason) => MediaError::Unusable {
                path: path.clone(),
                reason,
            },
        }
    }
}

fn find<T>(
    folders: &[PathBuf],
    name: &'static str,
    digests: &mut String,
    parse: impl FnOnce(Bytes) -> Result<T, &'static str>,
) -> Result<T, Cause> {
    for folder in folders {
        let path = folder.join(name);
        match read(&path) {
            Ok(file) => {
                digests.push_str(&Md5::of(&file).to_string());
                return parse(file.into()).map_err(|reason| Cause::Unusable(path, reason));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Cause::Read(path, error.kind())),
        }
    }
    Err(Cause::Missing(name, folders.to_vec()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A device or a pipe under that name would never end.
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if about.len() > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(path)
}
