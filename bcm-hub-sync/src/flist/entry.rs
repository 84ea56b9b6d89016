//! What an flist's database holds, decoded.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use bcm_core::digest;

use crate::block::codec::ChunkRef;

/// The size that upstream gives for a directory.
pub const DIRECTORY_SIZE: u64 = 4096;

/// The key of a directory's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryKey(pub [u8; 16]);

impl DirectoryKey {
    /// The key of the directory with the full path `path`, without a leading slash; the root's
    /// path is empty.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        Self(digest::blake2b_128(path))
    }

    /// Reads a key as entries have it: 32 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = digest::from_hex(text)?;
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for DirectoryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&digest::to_hex(&self.0))
    }
}

/// One directory with all that is in it: one entry of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its name; empty for the root.
    pub name: OsString,
    /// Its full path without a leading slash; empty for the root.
    pub location: OsString,
    /// What is in it.
    pub contents: Vec<Inode>,
    /// The key of its parent; the root's own key for the root.
    pub parent: String,
    /// [`DIRECTORY_SIZE`].
    pub size: u64,
    /// The key of its ACL.
    pub acl_key: String,
    /// When it was changed, in seconds since 1970. Upstream writes 0 for the root.
    pub modified: u32,
    /// See [`Inode::created`].
    pub created: u32,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its name. Mostly UTF-8, but upstream writes whatever bytes a file system has.
    pub name: OsString,
    /// Bytes of a file, of a link's target, or [`DIRECTORY_SIZE`]; 0 for special files.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// The key of its ACL.
    pub acl_key: String,
    /// When its content was changed, in seconds since 1970.
    pub modified: u32,
    /// When the packer saw its attributes change, in seconds since 1970. (The format calls it the
    /// time of creation.)
    pub created: u32,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory, which has its own entry under this key.
    Directory(String),
    /// A file, made of these chunks.
    File(Vec<ChunkRef>),
    /// A symbolic link to this target.
    Link(OsString),
    /// Anything else.
    Special(Special),
}

/// A file that is neither directory, file nor link, as the entry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// The type that the entry gives. Upstream's writer leaves it at `Socket` for all of them.
    pub declared: SpecialType,
    /// `MAJOR,MINOR` of a device, `(nothing)` for the rest.
    pub data: Vec<u8>,
}

/// The types of special files that the format knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialType {
    /// A socket, or anything that upstream's writer wrote.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
    /// A named pipe.
    Fifo,
    /// Something else.
    Unknown,
}

/// What a special file is to be restored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A named pipe.
    Fifo,
    /// A block device.
    Block {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A character device.
    Character {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

/// What names the block devices of Linux have, by major number; from the kernel's list of
/// assigned devices.
const BLOCK_DEVICES: &[(u32, &str)] = &[
    (1, "ram"),
    (2, "fd"),
    (3, "hd"),
    (7, "loop"),
    (8, "sd"),
    (9, "md"),
    (11, "sr"),
    (11, "scd"),
    (22, "hd"),
    (43, "nbd"),
    (65, "sd"),
    (66, "sd"),
    (147, "drbd"),
    (179, "mmcblk"),
    (202, "xvd"),
    (230, "zd"),
    (251, "zram"),
    (252, "dm-"),
    (252, "vd"),
    (253, "dm-"),
    (253, "vd"),
    (254, "dm-"),
    (254, "vd"),
    (259, "nvme"),
];

impl Special {
    /// What a special file of this name is; `None` where the entry does not say enough.
    ///
    /// Upstream's writer gives every special file the type `socket` and keeps only a device's
    /// numbers, so for that type the rest is inferred: with numbers it is a block device where
    /// Linux has block devices of that number and name (such as 7 and `loop0`), otherwise a
    /// character device; without numbers it is a named pipe, since a socket that nobody listens
    /// on is of no use.
    #[must_use]
    pub fn device(&self, name: &OsStr) -> Option<Device> {
        let numbers = self.numbers();
        match (self.declared, numbers) {
            (SpecialType::Fifo, _) | (SpecialType::Socket, None) => Some(Device::Fifo),
            (SpecialType::Block, Some((major, minor))) => Some(Device::Block { major, minor }),
            (SpecialType::Character, Some((major, minor))) => {
                Some(Device::Character { major, minor })
            }
            (SpecialType::Socket, Some((major, minor))) => {
                let block = BLOCK_DEVICES.iter().any(|(known, prefix)| {
                    *known == major && name.as_bytes().starts_with(prefix.as_bytes())
                });
                Some(if block {
                    Device::Block { major, minor }
                } else {
                    Device::Character { major, minor }
                })
            }
            (SpecialType::Block | SpecialType::Character, None) | (SpecialType::Unknown, _) => None,
        }
    }

    fn numbers(&self) -> Option<(u32, u32)> {
        let (major, minor) = std::str::from_utf8(&self.data).ok()?.split_once(',')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Who owns an inode and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acl {
    /// The owner's name, or number where the packer knew no name.
    pub user: String,
    /// The group's name, or number.
    pub group: String,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u16,
    /// The owner's number; −1 in flists from before there was one.
    pub uid: i64,
    /// The group's number; −1 in flists from before there was one.
    pub gid: i64,
}

impl Acl {
    /// Owned by root; what inodes without an ACL get.
    #[must_use]
    pub fn root(mode: u16) -> Self {
        Self {
            user: "root".to_owned(),
            group: "root".to_owned(),
            mode,
            uid: 0,
            gid: 0,
        }
    }

    /// The key that upstream's writer keeps it under: 16 hex digits.
    #[must_use]
    pub fn key(&self) -> String {
        let text = format!(
            "user:{}\ngroup:{}\nmode:0o{:o}\nuid:{}\ngid:{}",
            self.user, self.group, self.mode, self.uid, self.gid
        );
        let hash = blake2b_simd::Params::new()
            .hash_length(8)
            .hash(text.as_bytes());
        digest::to_hex(hash.as_bytes())
    }
}

/// Why `name` cannot be one name in a directory; `None` where it can.
pub(super) fn name_problem(name: &OsStr) -> Option<&'static str> {
    let bytes = name.as_bytes();
    match bytes {
        b"" => Some("is empty"),
        b"." | b".." => Some("means a folder, not an entry"),
        _ if bytes.len() > bcm_core::names::MAX_NAME_BYTES => Some("is longer than 255 bytes"),
        _ if bytes.contains(&b'/') => Some("contains a slash"),
        _ if bytes.contains(&0) => Some("contains a NUL"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upstreams() {
        assert_eq!(Acl::root(0o755).key(), "d7683de000c13689");
        assert_eq!(Acl::root(0o4755).key(), "2d28e41ae14a6bcf");
        assert_eq!(
            DirectoryKey::of(b"usr/bin").to_string(),
            "46c939da162118cf47886fe40f8b5600"
        );
    }

    #[test]
    fn a_special_file_without_its_type_is_inferred() {
        let special = |declared, data: &str| Special {
            declared,
            data: data.as_bytes().to_vec(),
        };
        let device = |special: Special, name| special.device(OsStr::new(name));
        let nothing = || special(SpecialType::Socket, "(nothing)");
        assert_eq!(device(nothing(), "fifo"), Some(Device::Fifo));
        assert_eq!(
            device(special(SpecialType::Socket, "7,0"), "loop0"),
            Some(Device::Block { major: 7, minor: 0 })
        );
        assert_eq!(
            device(special(SpecialType::Socket, "7,1"), "vcs1"),
            Some(Device::Character { major: 7, minor: 1 })
        );
        assert_eq!(
            device(special(SpecialType::Block, "1,3"), "null"),
            Some(Device::Block { major: 1, minor: 3 })
        );
        assert_eq!(device(special(SpecialType::Block, "(nothing)"), "x"), None);
        assert_eq!(device(special(SpecialType::Unknown, "1,3"), "x"), None);
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
            assert!(name_problem(OsStr::new(name)).is_some(), "{name:?}");
        }
        for name in ["a", "...", "naïve – 文件.txt", "a\nb", &"x".repeat(255)] {
            assert!(name_problem(OsStr::new(name)).is_none(), "{name:?}");
        }
    }
}
