//! The file trees that the demo's flists are made of: the same bytes and times at every run, so
//! that a second run over the same data folder finds nothing to do.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// A tree to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    /// The program that it holds.
    pub(super) name: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// Kilobytes of program. Trees share a library of another 600.
    pub(super) kilobytes: usize,
    /// When it was made, in seconds since 1970.
    pub(super) made: i64,
}

impl Tree {
    /// Writes the tree into the folder `root`, which it creates.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        let Self { name, version, .. } = self;
        for folder in [
            "etc",
            "usr/bin",
            "usr/lib",
            &format!("usr/share/doc/{name}"),
            "var/empty",
        ] {
            fs::create_dir_all(root.join(folder))?;
        }
        let write = |path: &str, content: &[u8], mode: u32| {
            let path = root.join(path);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        write(
            "etc/os-release",
            format!("NAME=\"{name}\"\nVERSION=\"{version}\"\nID=demo\n").as_bytes(),
            0o644,
        )?;
        write("etc/machine-id", b"", 0o444)?;
        let program = noise(&format!("{name} {version}"), self.kilobytes * 1024);
        write(&format!("usr/bin/{name}"), &program, 0o755)?;
        write("usr/lib/libdemo.so.1", &noise("libdemo", 600 * 1024), 0o644)?;
        let manual = format!("{name} {version} was made up for a demonstration.\n").repeat(4000);
        write(
            &format!("usr/share/doc/{name}/manual.txt"),
            manual.as_bytes(),
            0o644,
        )?;
        symlink("usr/bin", root.join("bin"))?;
        symlink("libdemo.so.1", root.join("usr/lib/libdemo.so"))?;
        set_times(root, self.made)
    }
}

/// Bytes that look random and do not compress, the same for the same seed.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Gives everything below `path`, and then itself, one time.
fn set_times(path: &Path, time: i64) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            set_times(&entry?.path(), time)?;
        }
    }
    set_time(path, time)
}

/// Sets the time of modification of a file, a folder, or a link itself.
///
/// # Errors
/// The disk refused.
pub(super) fn set_time(path: &Path, time: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: time,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_repeats_itself_for_the_same_seed_only() {
        assert_eq!(noise("a", 1001), noise("a", 1001));
        assert_ne!(noise("a", 64), noise("b", 64));
        assert_eq!(noise("a", 1001).len(), 1001);
    }

    #[test]
    fn everything_in_a_tree_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        let tree = Tree {
            name: "nginx",
            version: "1.27",
            kilobytes: 1,
            made: 1_700_000_000,
        };
        tree.write(&root).unwrap();
        for path in ["", "bin", "usr", "usr/lib/libdemo.so", "etc/machine-id"] {
            let modified = fs::symlink_metadata(root.join(path)).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!(modified.mtime(), tree.made, "{path}");
        }
    }
}
