//! Going through an flist's tree without trusting it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec;

use super::entry::{Directory, DirectoryKey, Inode, Kind, name_problem};
use super::error::{FlistError, TreeProblem};
use super::reader::Flist;

/// One step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Something in the tree. After a directory comes what is in it.
    Entry {
        /// Its path, starting with `/`.
        path: PathBuf,
        /// What it is.
        inode: Inode,
    },
    /// A directory, again, after all that is in it.
    Leave {
        /// Its path, starting with `/`.
        path: PathBuf,
        /// The directory.
        inode: Inode,
    },
}

/// A walk through an flist's tree, from [`Flist::walk`]. The root itself is not a step.
///
/// It refuses names that are no names, a name that is used twice in a directory, a directory
/// that is reached twice, missing directories, and trees that exceed the limits. After an error
/// it is over.
#[derive(Debug)]
pub struct Walk<'a> {
    flist: &'a Flist,
    path: PathBuf,
    frames: Vec<Frame>,
    entries: u64,
    blocks: u64,
    /// Keys that are not the hash of the path they were reached by. A key that is belongs to one
    /// path only, and no path is walked twice; so remembering the others is enough to end every
    /// cycle, and upstream's flists have none.
    odd_keys: HashSet<String>,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Start,
    Walking,
    Over,
}

#[derive(Debug)]
struct Frame {
    /// `None` for the root.
    inode: Option<Inode>,
    children: vec::IntoIter<Inode>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(flist: &'a Flist) -> Self {
        Self {
            flist,
            path: PathBuf::from("/"),
            frames: Vec::new(),
            entries: 0,
            blocks: 0,
            odd_keys: HashSet::new(),
            state: State::Start,
        }
    }

    fn step(&mut self) -> Result<Option<Step>, FlistError> {
        if self.state == State::Start {
            self.state = State::Walking;
            let key = self.flist.root_key();
            self.enter(&key, None)?;
        }
        let Some(frame) = self.frames.last_mut() else {
            return Ok(None);
        };
        let Some(inode) = frame.children.next() else {
            let frame = self.frames.pop();
            let Some(inode) = frame.and_then(|frame| frame.inode) else {
                return Ok(None);
            };
            let path = self.path.clone();
            self.path.pop();
            return Ok(Some(Step::Leave { path, inode }));
        };
        if let Some(problem) = name_problem(&inode.name) {
            let name = inode.name.to_string_lossy().chars().take(80).collect();
            return Err(self
                .flist
                .refuse(&self.path, TreeProblem::Name(name, problem)));
        }
        self.path.push(&inode.name);
        self.check_limits(&inode)?;
        let path = self.path.clone();
        match &inode.kind {
            Kind::Directory(key) => {
                let key = key.clone();
                self.enter(&key, Some(inode.clone()))?;
            }
            Kind::File(_) | Kind::Link(_) | Kind::Special(_) => {
                self.path.pop();
            }
        }
        Ok(Some(Step::Entry { path, inode }))
    }

    /// Goes down into the directory at `self.path`.
    fn enter(&mut self, key: &str, inode: Option<Inode>) -> Result<(), FlistError> {
        let refuse = |problem| Err(self.flist.refuse(&self.path, problem));
        let depth = self.flist.limits().depth;
        if self.frames.len() > depth as usize {
            return refuse(TreeProblem::Limit {
                what: "its depth",
                limit: depth.into(),
            });
        }
        let Some(parsed) = DirectoryKey::parse(key) else {
            return refuse(TreeProblem::Key(key.chars().take(80).collect()));
        };
        let own = self.path.as_os_str().as_bytes();
        let own = own.strip_prefix(b"/").unwrap_or(own);
        if parsed != DirectoryKey::of(own) && !self.odd_keys.insert(key.to_owned()) {
            return refuse(TreeProblem::Cycle(key.to_owned()));
        }
        let directory = self.flist.directory(key, &self.path)?;
        if let Some(name) = first_duplicate(&directory) {
            let inside = self.path.join(name);
            return Err(self.flist.refuse(&inside, TreeProblem::DuplicateName));
        }
        self.frames.push(Frame {
            inode,
            children: directory.contents.into_iter(),
        });
        Ok(())
    }

    fn check_limits(&mut self, inode: &Inode) -> Result<(), FlistError> {
        self.entries += 1;
        if let Kind::File(chunks) = &inode.kind {
            self.blocks += chunks.len() as u64;
        }
        let limits = self.flist.limits();
        let path_bytes = self.path.as_os_str().len() as u64;
        for (count, limit, what) in [
            (self.entries, limits.entries, "the number of files"),
            (self.blocks, limits.blocks, "the number of blocks"),
            (
                path_bytes,
                limits.path_bytes.into(),
                "the length of its path",
            ),
        ] {
            if count > limit {
                return Err(self
                    .flist
                    .refuse(&self.path, TreeProblem::Limit { what, limit }));
            }
        }
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Step, FlistError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.state = State::Over;
        }
        step
    }
}

impl std::iter::FusedIterator for Walk<'_> {}

fn first_duplicate(directory: &Directory) -> Option<&Path> {
    let mut seen: HashSet<&OsStr> = HashSet::with_capacity(directory.contents.len());
    directory
        .contents
        .iter()
        .find(|inode| !seen.insert(&inode.name))
        .map(|inode| Path::new(&inode.name))
}
