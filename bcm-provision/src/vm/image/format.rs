//! What a file is, by its first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The format of a disk, as QEMU calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The disk's bytes.
    Raw,
    /// QEMU's own.
    Qcow2,
}

impl Format {
    /// As QEMU calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A disk that can be booted, and its size in bytes as a machine sees it.
    Disk(Format, u64),
    /// Something else, and what to do.
    Other(&'static str),
}

/// The most of a file's beginning that is looked at: an ISO 9660's mark is at 32,769.
const BEGINNING: u64 = 33 << 10;

/// What the file `path` is.
///
/// # Errors
/// It cannot be read.
pub(crate) fn of_file(path: &Path) -> io::Result<ImageKind> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(ImageKind::Other("it is no file"));
    }
    let mut head = Vec::new();
    file.take(BEGINNING).read_to_end(&mut head)?;
    Ok(of_bytes(&head, metadata.len()))
}

/// What a file that begins with `head` and has `length` bytes is.
///
/// qcow2's header is described in QEMU's `docs/interop/qcow2.txt`: magic `QFI\xfb`, version,
/// the offset of a backing file's name at 8, the disk's size at 24, incompatible features at 72 (bit
/// 2: the data are in another file). A boot sector ends with 55 AA at 510.
pub(crate) fn of_bytes(head: &[u8], length: u64) -> ImageKind {
    let number = |at: usize| -> Option<u64> {
        let bytes = head.get(at..at + 8)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    let is = |magic: &[u8]| head.starts_with(magic);
    if is(b"QFI\xfb") {
        let version = head.get(4..8);
        if version != Some([0, 0, 0, 2].as_slice()) && version != Some([0, 0, 0, 3].as_slice()) {
            return ImageKind::Other("it is of a version of qcow2 that is not known");
        }
        let elsewhere =
            version == Some([0, 0, 0, 3].as_slice()) && number(72).is_some_and(|f| f & 4 != 0);
        return match (number(8), number(24)) {
            // It would have QEMU open a file that the image names.
            (Some(0), Some(size)) if !elsewhere => ImageKind::Disk(Format::Qcow2, size),
            (Some(_), Some(_)) => ImageKind::Other(
                "its data are in another file that it names; `qemu-img convert` makes one file of both",
            ),
            _ => ImageKind::Other("it is cut off"),
        };
    }
    let compressed: [&[u8]; 5] = [
        b"\x1f\x8b",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"BZh",
        b"PK\x03\x04",
    ];
    if compressed.iter().any(|magic| is(magic)) {
        return ImageKind::Other("it is compressed, or an archive; unpack it first");
    }
    if is(b"KDMV") || is(b"vhdxfile") || is(b"conectix") {
        return ImageKind::Other(
            "it is in the format of another hypervisor; `qemu-img convert -O qcow2` changes that",
        );
    }
    if head.get(32_769..32_774) == Some(b"CD001") {
        return ImageKind::Other(
            "it is a CD; what is wanted is an installed system, such as a distribution's cloud image",
        );
    }
    if head.get(510..512) == Some(&[0x55, 0xaa]) && length >= 64 << 20 {
        return ImageKind::Disk(Format::Raw, length);
    }
    ImageKind::Other(
        "it is no disk that boots; what is wanted is a cloud image, qcow2 or raw, with cloud-init",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2(backing: u64, features: u64) -> Vec<u8> {
        let mut head = vec![0; 104];
        head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        head[8..16].copy_from_slice(&backing.to_be_bytes());
        head[24..32].copy_from_slice(&(3_u64 << 30).to_be_bytes());
        head[72..80].copy_from_slice(&features.to_be_bytes());
        head
    }

    #[test]
    fn disks_are_told_from_what_is_none() {
        assert_eq!(
            of_bytes(&qcow2(0, 0), 1 << 20),
            ImageKind::Disk(Format::Qcow2, 3 << 30)
        );
        let mut raw = vec![0; 512];
        raw[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(
            of_bytes(&raw, 1 << 30),
            ImageKind::Disk(Format::Raw, 1 << 30)
        );
        let mut cd = vec![0; 33 << 10];
        cd[32_769..32_774].copy_from_slice(b"CD001");
        for (head, word) in [
            (qcow2(8, 0), "another file"),
            (qcow2(0, 4), "another file"),
            (qcow2(0, 0)[..20].to_vec(), "cut off"),
            (b"QFI\xfb\0\0\0\x09".to_vec(), "version"),
            (b"\xfd7zXZ\0".to_vec(), "compressed"),
            (b"KDMV".to_vec(), "hypervisor"),
            (cd, "CD"),
            (Vec::new(), "no disk"),
            (b"<html>".to_vec(), "no disk"),
        ] {
            match of_bytes(&head, head.len() as u64) {
                ImageKind::Other(why) => assert!(why.contains(word), "{why}"),
                disk => panic!("{word}: {disk:?}"),
            }
        }
    }
}
