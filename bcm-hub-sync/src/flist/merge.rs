//! One flist of several.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::entry::{Acl, DIRECTORY_SIZE, Directory, DirectoryKey, Inode, Kind};
use super::error::{FlistError, TreeProblem};
use super::limits::Limits;
use super::message;
use super::metadata::{BACKEND, Backend};
use super::reader::Flist;
use super::writer::{Writer, WrittenFlist};

/// A directory that is still to be written.
struct Todo {
    location: PathBuf,
    name: OsString,
    parent: String,
    acl: Acl,
    modified: u32,
    created: u32,
    /// The sources that have it, by their number, and its key in each.
    keys: Vec<(usize, String)>,
}

/// Writes the trees of `sources` over each other to `output`, as if they were unpacked into one folder
/// one after the other: folders are joined, and of everything else the last one stays. Metadata is
/// that of the first. `backend` is where the blocks of all of them are; where it is not given, the
/// result names the sources' own if they agree on it, and none otherwise.
///
/// Every one of `sources` must have been walked to its end, so that none leads round in a circle.
///
/// # Errors
/// A source is no flist or exceeds `limits`; `output` cannot be written.
pub(crate) fn merge(
    sources: &[PathBuf],
    output: &Path,
    backend: Option<&Backend>,
    limits: &Limits,
    scratch: &Path,
) -> Result<WrittenFlist, FlistError> {
    let sources = sources.iter();
    let sources = sources.map(|path| Flist::open(path, limits, scratch));
    let sources: Vec<Flist> = sources.collect::<Result<_, _>>()?;
    let writer = Writer::new(output, scratch)?;
    let mut merger = Merger {
        sources: &sources,
        writer: &writer,
        acls: HashSet::new(),
    };
    let root = sources.iter().map(Flist::root_key).enumerate();
    let mut todo = vec![Todo {
        location: PathBuf::new(),
        name: OsString::new(),
        parent: DirectoryKey::of(b"").to_string(),
        acl: Acl::root(0o755),
        modified: 0,
        created: 0,
        keys: root.collect(),
    }];
    while let Some(next) = todo.pop() {
        merger.directory(next, &mut todo, limits)?;
    }
    if let Some(first) = sources.first() {
        for (key, value) in first.metadata().iter().filter(|(key, _)| *key != BACKEND) {
            writer.metadata(key, value)?;
        }
    }
    let mut own = sources.iter().map(|source| source.metadata().get(BACKEND));
    let first = own.next().flatten();
    let agreed = first.filter(|first| own.all(|other| other == Some(first)));
    let backend = backend.map(Backend::to_json);
    if let Some(backend) = backend.as_deref().or(agreed) {
        writer.metadata(BACKEND, backend)?;
    }
    writer.finish()
}

/// A name in a directory of the result.
struct Name {
    inode: Inode,
    /// The number of the source that it is from.
    source: usize,
    /// Where it is a directory: the sources that have it, and its key in each.
    keys: Vec<(usize, String)>,
}

struct Merger<'a> {
    sources: &'a [Flist],
    writer: &'a Writer,
    /// The keys of the ACLs that are written.
    acls: HashSet<String>,
}

impl Merger<'_> {
    fn directory(
        &mut self,
        todo: Todo,
        list: &mut Vec<Todo>,
        limits: &Limits,
    ) -> Result<(), FlistError> {
        let inside = Path::new("/").join(&todo.location);
        let mut names: BTreeMap<OsString, Name> = BTreeMap::new();
        for (number, key) in &todo.keys {
            let source = &self.sources[*number];
            if todo.location.components().count() as u64 > u64::from(limits.depth) {
                let limit = limits.depth.into();
                let what = "its depth";
                return Err(source.refuse(&inside, TreeProblem::Limit { what, limit }));
            }
            for inode in source.directory(key, &inside)?.contents {
                let mut keys = Vec::new();
                if let Kind::Directory(key) = &inode.kind {
                    if let Some(before) = names.get_mut(&inode.name) {
                        keys.append(&mut before.keys);
                    }
                    keys.push((*number, key.clone()));
                }
                let name = Name {
                    source: *number,
                    keys,
                    inode,
                };
                names.insert(name.inode.name.clone(), name);
            }
        }
        let own_key = DirectoryKey::of(todo.location.as_os_str().as_bytes()).to_string();
        let (mut folders, mut others) = (Vec::new(), Vec::new());
        for (name, found) in names {
            let (mut inode, keys) = (found.inode, found.keys);
            let location = todo.location.join(&name);
            let acl = self.sources[found.source].acl(&inode, &inside.join(&name))?;
            inode.acl_key = self.acl(&acl)?;
            if let Kind::Directory(_) = inode.kind {
                let key = DirectoryKey::of(location.as_os_str().as_bytes());
                inode.kind = Kind::Directory(key.to_string());
                list.push(Todo {
                    location,
                    name,
                    parent: own_key.clone(),
                    acl,
                    modified: inode.modified,
                    created: inode.created,
                    keys,
                });
                folders.push(inode);
            } else {
                others.push(inode);
            }
        }
        folders.append(&mut others);
        let directory = Directory {
            name: todo.name,
            location: todo.location.into_os_string(),
            contents: folders,
            parent: todo.parent,
            size: DIRECTORY_SIZE,
            acl_key: self.acl(&todo.acl)?,
            modified: todo.modified,
            created: todo.created,
        };
        let bytes = message::write_directory(&directory).map_err(|_| FlistError::Limit {
            path: inside,
            what: "what is in one directory",
            limit: limits.value_bytes.into(),
        })?;
        self.writer.entry(&own_key, &bytes)
    }

    /// Writes an ACL where it is not written yet, and gives its key.
    fn acl(&mut self, acl: &Acl) -> Result<String, FlistError> {
        let key = acl.key();
        if self.acls.insert(key.clone()) {
            let bytes = message::write_acl(acl).map_err(|_| FlistError::Limit {
                path: PathBuf::from(&key),
                what: "the length of an owner's name",
                limit: u64::from(u32::MAX),
            })?;
            self.writer.entry(&key, &bytes)?;
        }
        Ok(key)
    }
}
