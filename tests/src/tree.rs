//! Trees of files as values: read from a folder or from a tar, compared with a difference that a
//! person can read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bcm_core::digest::Md5;

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its own time of modification, in seconds since 1970.
    pub mtime: i64,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, by size and MD5.
    File {
        /// Bytes.
        size: u64,
        /// The MD5 of its content, as hex.
        md5: String,
    },
    /// A symbolic link, by the text that it holds.
    Link(String),
    /// Anything else, such as a FIFO.
    Other(&'static str),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Folder => write!(f, "folder")?,
            Kind::File { size, md5 } => write!(f, "file of {size} bytes, md5 {md5}")?,
            Kind::Link(target) => write!(f, "link -> {target}")?,
            Kind::Other(what) => write!(f, "{what}")?,
        }
        write!(f, ", mtime {}", self.mtime)
    }
}

/// Every file, folder and link below a root, by path relative to it. The root itself is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Node>);

impl Tree {
    /// Reads what is below `root`; links are not followed.
    pub fn of_folder(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.add_folder(root, "");
        tree
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) {
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let entry = entry.expect("a folder entry");
            let path = entry.path();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let metadata = fs::symlink_metadata(&path).expect("lstat");
            let kind = if metadata.is_dir() {
                self.add_folder(&path, &format!("{name}/"));
                Kind::Folder
            } else if metadata.is_file() {
                Kind::File {
                    size: metadata.len(),
                    md5: Md5::of(&fs::read(&path).expect("read")).to_string(),
                }
            } else if metadata.is_symlink() {
                Kind::Link(
                    fs::read_link(&path)
                        .expect("readlink")
                        .to_string_lossy()
                        .into_owned(),
                )
            } else if metadata.file_type().is_fifo() {
                Kind::Other("fifo")
            } else {
                Kind::Other("something else")
            };
            let mtime = metadata.mtime();
            self.0.insert(name, Node { kind, mtime });
        }
    }

    /// Reads what is below the folder `root` inside the tar file `archive`.
    pub fn of_tar(archive: &Path, root: &str) -> Self {
        let mut tree = Self::default();
        let file = fs::File::open(archive).unwrap_or_else(|e| panic!("{}: {e}", archive.display()));
        for entry in tar::Archive::new(file).entries().expect("a tar") {
            let mut entry = entry.expect("a tar entry");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let Some(name) = path.trim_end_matches('/').strip_prefix(&format!("{root}/")) else {
                continue;
            };
            let name = name.to_owned();
            let mtime = entry.header().mtime().expect("mtime") as i64;
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Symlink => Kind::Link(
                    entry
                        .link_name()
                        .expect("a link name")
                        .expect("a link name")
                        .to_string_lossy()
                        .into_owned(),
                ),
                tar::EntryType::Regular => {
                    let mut content = Vec::new();
                    std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
                    Kind::File {
                        size: content.len() as u64,
                        md5: Md5::of(&content).to_string(),
                    }
                }
                other => panic!("{name}: unexpected type {other:?}"),
            };
            tree.0.insert(name, Node { kind, mtime });
        }
        assert!(!tree.0.is_empty(), "{}: no {root}/", archive.display());
        tree
    }

    /// Every difference as one line, `-` for what only `self` has, `+` for what only `other` has.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, node) in &self.0 {
            match other.0.get(path) {
                Some(theirs) if theirs == node => {}
                Some(theirs) => {
                    lines.push(format!("- {path}: {node}"));
                    lines.push(format!("+ {path}: {theirs}"));
                }
                None => lines.push(format!("- {path}: {node}")),
            }
        }
        for (path, node) in &other.0 {
            if !self.0.contains_key(path) {
                lines.push(format!("+ {path}: {node}"));
            }
        }
        lines
    }

    /// Fails with a readable difference unless `found` is this tree.
    #[track_caller]
    pub fn assert_same(&self, found: &Self, what: &str) {
        let difference = self.difference(found);
        assert!(
            difference.is_empty(),
            "{what}: {} differences (- expected, + found)\n{}",
            difference.len(),
            difference.join("\n")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_differs() {
        let recorded = Tree::of_tar(&crate::fixtures::users_tar(), "users");
        assert_eq!(recorded.difference(&recorded), [""; 0]);
        let mut other = recorded.clone();
        other.0.remove("tf-zos/production").expect("there");
        other.0.get_mut("empty.3bot").expect("there").mtime += 1;
        other.0.insert(
            "new".into(),
            Node {
                kind: Kind::Folder,
                mtime: 0,
            },
        );
        assert_eq!(
            recorded.difference(&other),
            [
                "- empty.3bot: folder, mtime 1735710000",
                "+ empty.3bot: folder, mtime 1735710001",
                "- tf-zos/production: link -> ../tf-zos/.tag-v3.14.1, mtime 1735700000",
                "+ new: folder, mtime 0",
            ]
        );
    }

    #[test]
    fn a_folder_reads_as_its_tar() {
        let root = tempfile::tempdir().expect("tempdir");
        let users = root.path().join("users");
        crate::origin::Users::of_tar(&crate::fixtures::users_tar()).write_to(&users);
        Tree::of_tar(&crate::fixtures::users_tar(), "users")
            .assert_same(&Tree::of_folder(&users), "the written tree");
    }
}
