//! What an archive says of its members and a file system may not let be set.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bcm_core::digest::blake2b_128;

/// Owner, mode and time of one file, folder or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The time of modification, in seconds since 1970.
    pub modified: i64,
}

/// Attributes by path, of which only hashes are kept: about 50 bytes for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    of: HashMap<[u8; 16], Attribute>,
}

impl Attributes {
    /// The attributes of `path`, which begins at the root of the tree, without a slash.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Attribute> {
        self.of.get(&key(path))
    }

    /// Sets the attributes of `path`.
    pub fn set(&mut self, path: &Path, attribute: Attribute) {
        self.of.insert(key(path), attribute);
    }

    /// Sets the attributes of `path` where it has none.
    pub fn set_default(&mut self, path: &Path, attribute: Attribute) {
        self.of.entry(key(path)).or_insert(attribute);
    }
}

fn key(path: &Path) -> [u8; 16] {
    blake2b_128(path.as_os_str().as_bytes())
}
