//! The hub's catalogue as its folder on disk: what scenario tests change.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;

/// A hub's `users/` folder. Names are those on disk: tags are folders named `.tag-TAG`.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// The repositories by name.
    pub repositories: BTreeMap<String, Folder>,
}

/// A repository, or a tag inside one.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// Its time of modification, in seconds since 1970.
    pub mtime: i64,
    /// What is in it, by name.
    pub nodes: BTreeMap<String, Node>,
}

/// What is in a [`Folder`].
#[derive(Debug, Clone)]
pub enum Node {
    /// An flist.
    File {
        /// Its content.
        content: Bytes,
        /// Its time of modification, in seconds since 1970.
        mtime: i64,
    },
    /// A symbolic link.
    Link {
        /// The text of the link, such as `../other/x.flist`.
        target: String,
        /// Its own time of modification, in seconds since 1970.
        mtime: i64,
    },
    /// A tag.
    Tag(Folder),
}

/// What a link leads to.
pub(super) enum Target<'a> {
    /// An flist.
    File(&'a Bytes, i64),
    /// A tag.
    Tag(&'a Folder),
}

impl Users {
    /// Reads a tar with one folder `users/`.
    pub fn of_tar(path: &Path) -> Self {
        let mut users = Self::default();
        let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut entries = Vec::new();
        for entry in tar::Archive::new(file).entries().expect("a tar") {
            let mut entry = entry.expect("a tar entry");
            let name = entry.path().expect("a path").to_string_lossy().into_owned();
            let link = entry
                .link_name()
                .expect("a link name")
                .map(|link| link.to_string_lossy().into_owned());
            let mtime = entry.header().mtime().expect("mtime") as i64;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            let kind = entry.header().entry_type();
            entries.push((name, kind, link, mtime, content));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind, link, mtime, content) in entries {
            let parts: Vec<&str> = name.trim_matches('/').split('/').collect();
            let node = match kind {
                tar::EntryType::Directory => Node::Tag(Folder {
                    mtime,
                    ..Folder::default()
                }),
                tar::EntryType::Symlink => Node::Link {
                    target: link.expect("a link has a target"),
                    mtime,
                },
                _ => Node::File {
                    content: content.into(),
                    mtime,
                },
            };
            match (parts.as_slice(), node) {
                (["users"], _) => {}
                (["users", repository], Node::Tag(folder)) => {
                    users.repositories.insert((*repository).to_owned(), folder);
                }
                (["users", repository, name], node) => {
                    users.repository(repository).put(name, node);
                }
                (["users", repository, tag, name], node) => {
                    users.repository(repository).tag_folder(tag).put(name, node);
                }
                (parts, _) => panic!("{parts:?} has no place in a hub"),
            }
        }
        users
    }

    /// Writes the tree below `root`, which must be empty or not there, with all of its times.
    pub fn write_to(&self, root: &Path) {
        std::fs::create_dir_all(root).expect("a folder");
        for (name, folder) in &self.repositories {
            folder.write_to(&root.join(name));
        }
    }

    /// The repository `name`, made where there is none.
    pub fn repository(&mut self, name: &str) -> &mut Folder {
        self.repositories.entry(name.to_owned()).or_default()
    }

    pub(super) fn resolve(
        &self,
        repository: &str,
        tag: Option<&str>,
        link: &str,
    ) -> Option<Target<'_>> {
        let mut place: Vec<&str> = vec![repository];
        place.extend(tag);
        for part in link.split('/') {
            match part {
                ".." => {
                    place.pop()?;
                }
                "." | "" => {}
                name => place.push(name),
            }
        }
        let (repository, rest) = place.split_first()?;
        let mut folder = self.repositories.get(*repository)?;
        let (last, middle) = rest.split_last()?;
        if let [tag] = middle {
            let Some(Node::Tag(inner)) = folder.nodes.get(*tag) else {
                return None;
            };
            folder = inner;
        }
        match folder.nodes.get(*last)? {
            Node::File { content, mtime } => Some(Target::File(content, *mtime)),
            Node::Tag(inner) => Some(Target::Tag(inner)),
            Node::Link { .. } => None,
        }
    }
}

impl Folder {
    fn write_to(&self, path: &Path) {
        std::fs::create_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (name, node) in &self.nodes {
            let path = path.join(name);
            match node {
                Node::File { content, mtime } => {
                    std::fs::write(&path, content).expect("write");
                    set_mtime(&path, *mtime);
                }
                Node::Link { target, mtime } => {
                    std::os::unix::fs::symlink(target, &path).expect("symlink");
                    set_mtime(&path, *mtime);
                }
                Node::Tag(folder) => folder.write_to(&path),
            }
        }
        set_mtime(path, self.mtime);
    }

    /// Puts `node` under `name`, over what may be there. Folder times are the caller's to change.
    pub fn put(&mut self, name: &str, node: Node) {
        self.nodes.insert(name.to_owned(), node);
    }

    /// Puts an flist.
    pub fn put_file(&mut self, name: &str, content: impl Into<Bytes>, mtime: i64) {
        let content = content.into();
        self.put(name, Node::File { content, mtime });
    }

    /// Puts a link, whose `target` is the text that the link holds.
    pub fn put_link(&mut self, name: &str, target: &str, mtime: i64) {
        let target = target.to_owned();
        self.put(name, Node::Link { target, mtime });
    }

    /// The tag `name` (without `.tag-`), made where there is none.
    pub fn tag(&mut self, name: &str) -> &mut Folder {
        self.tag_folder(&format!(".tag-{name}"))
    }

    fn tag_folder(&mut self, name: &str) -> &mut Folder {
        let node = self
            .nodes
            .entry(name.to_owned())
            .or_insert_with(|| Node::Tag(Folder::default()));
        match node {
            Node::Tag(folder) => folder,
            other => panic!("{name} is {other:?}, not a tag"),
        }
    }

    /// The content of the flist `name`.
    #[track_caller]
    pub fn content(&self, name: &str) -> Bytes {
        match self.nodes.get(name) {
            Some(Node::File { content, .. }) => content.clone(),
            other => panic!("{name} is {other:?}, not a file"),
        }
    }
}

fn set_mtime(path: &Path, mtime: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec {
        tv_sec: mtime,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
}
