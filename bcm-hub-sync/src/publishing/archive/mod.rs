//! Unpacks an archive that somebody sent into a folder, from which it is packed.
//!
//! An archive comes from strangers. Each member's path is taken apart and walked on folder handles, so no
//! `..` and no link on the way leads out of the folder; nothing is followed, and nothing is made but
//! folders, files and links. Owners, modes and times are not set but noted, so it takes no root, and no
//! file is ever executable by somebody else or runs as its owner.

mod member;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use crate::flist::{Attribute, Attributes};
use crate::folder::{Folder, FolderError, Kind};
use member::{Member, Said, climbs, tame};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What an archive may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes that it may unpack to, with its headers. Default: 20 GiB.
    pub unpacked_bytes: u64,
    /// Members. Default: 500,000.
    pub members: u64,
    /// Bytes of a member's path, and of what is said of it beside its header. Default: 64 KiB.
    pub header_bytes: u64,
    /// Folders inside folders. Default: 256.
    pub depth: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 20 << 30,
            members: 500_000,
            header_bytes: 64 << 10,
            depth: 256,
        }
    }
}

/// An archive could not be unpacked. What was unpacked by then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A member is refused.
    #[error("the archive's member {member:?} is refused: {why}")]
    Member {
        /// Its path, as the archive has it.
        member: String,
        /// Why.
        why: String,
    },
    /// It asks for too much.
    #[error("the archive is refused: {what} exceeds {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// It is no tar archive, or a damaged one.
    #[error("the archive is damaged, or neither .tar nor .tar.gz")]
    Damaged(#[source] io::Error),
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("unpacking was interrupted")]
    Cancelled,
}

impl ArchiveError {
    /// Whether it is the archive that is at fault, and not this machine.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Cancelled)
    }
}

impl From<FolderError> for ArchiveError {
    fn from(error: FolderError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
        }
    }
}

type Result<T> = std::result::Result<T, ArchiveError>;

/// Unpacks the archive `path` (`.tar` or `.tar.gz`) into the empty folder `into`, and answers with what
/// it says of owners, modes and times.
///
/// A symbolic link may be absolute, for that begins at the root of the tree that it is in; a relative one
/// must not climb above it. Of a name that comes twice, the second one stays.
///
/// # Errors
/// A member's path or link leads out of the tree; it is a device, a pipe or something unknown; it exceeds
/// `limits`; it is damaged; the disk is full; or `cancel` was cancelled.
pub fn unpack(
    path: &Path,
    into: &Path,
    limits: &ArchiveLimits,
    cancel: &CancellationToken,
) -> Result<Attributes> {
    let failed = |operation| {
        move |source| ArchiveError::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    };
    let mut file = File::open(path).map_err(failed("open"))?;
    let mut start = Vec::with_capacity(2);
    (&mut file)
        .take(2)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(failed("read"))?;
    let file = BufReader::with_capacity(64 * 1024, file);
    let content: Box<dyn Read> = match start == GZIP_MAGIC {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut unpacking = Unpacking {
        root: Folder::open_existing(into)?,
        limits,
        attributes: Attributes::default(),
        members: 0,
        parent: None,
    };
    let mut archive = tar::Archive::new(Limited {
        inner: content,
        left: limits.unpacked_bytes,
    });
    // Raw: long names and extended headers come as entries of their own, and are read within limits.
    let entries = archive.entries().map_err(|e| unpacking.read(e))?;
    let mut said = Said::default();
    for entry in entries.raw(true) {
        if cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        let mut entry = entry.map_err(|e| unpacking.read(e))?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => said.path = Some(unpacking.long(&mut entry)?),
            EntryType::GNULongLink => said.link = Some(unpacking.long(&mut entry)?),
            EntryType::XHeader => {
                let text = unpacking.beside(&mut entry)?;
                said.extend(&text).map_err(|why| unpacking.damaged(why))?;
            }
            EntryType::XGlobalHeader => {}
            _ => {
                let header = entry.header().clone();
                let member = Member::new(&header, &entry, std::mem::take(&mut said), limits)?;
                unpacking.member(&member, kind, &mut entry)?;
            }
        }
    }
    Ok(unpacking.attributes)
}

struct Unpacking<'a> {
    root: Folder,
    limits: &'a ArchiveLimits,
    attributes: Attributes,
    members: u64,
    /// The folder that was used last: neighbours come one after the other.
    parent: Option<(PathBuf, Folder)>,
}

impl Unpacking<'_> {
    fn member<R: Read>(
        &mut self,
        member: &Member,
        kind: EntryType,
        content: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(ArchiveError::Limit {
                what: "the number of its members",
                limit: self.limits.members,
            });
        }
        let Some(name) = member.path.file_name().and_then(|name| name.to_str()) else {
            // The root itself, whose attributes flists do not keep.
            return match kind.is_dir() {
                true => Ok(()),
                false => Err(member.refused("its path is empty")),
            };
        };
        let parent = member.path.parent().unwrap_or(Path::new(""));
        let limit = self.limits.unpacked_bytes;
        match kind {
            EntryType::Directory => {
                self.folder(member, &member.path)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let folder = self.fresh(member, parent, name)?;
                let mut file = folder.create(name)?;
                copy(content, &mut file).map_err(|error| match error {
                    Copy::Read(error) => read_error(error, limit),
                    Copy::Write(source) => ArchiveError::Io {
                        operation: "write",
                        path: folder.path().join(name),
                        source,
                    },
                })?;
            }
            EntryType::Symlink => {
                let link = member.link()?;
                if climbs(parent, link) {
                    return Err(member.refused("it links out of the tree"));
                }
                let time = member.attribute.modified;
                let folder = self.fresh(member, parent, name)?;
                folder.link(name, link, time)?;
            }
            EntryType::Link => self.second_name(member, parent, name)?,
            EntryType::Char | EntryType::Block => {
                return Err(member.refused("it is a device"));
            }
            EntryType::Fifo => return Err(member.refused("it is a named pipe")),
            EntryType::GNUSparse => return Err(member.refused("it is a sparse file")),
            _ => return Err(member.refused("it is of a kind that is not known")),
        }
        self.attributes.set(&member.path, member.attribute);
        Ok(())
    }

    /// A hard link: another name of a file that came before.
    fn second_name(&mut self, member: &Member, parent: &Path, name: &str) -> Result<()> {
        let wrong = "it is a hard link to what is no file of this archive before it";
        let to = tame(member.link()?).map_err(|_| member.refused(wrong))?;
        let to_name = to.file_name().and_then(|name| name.to_str());
        let (Some(to_name), false) = (to_name, to == member.path) else {
            return Err(member.refused(wrong));
        };
        let mut home = None;
        for part in to.parent().unwrap_or(Path::new("")) {
            let folder: &Folder = home.as_ref().unwrap_or(&self.root);
            let child = folder.child_if_folder(part)?;
            home = Some(child.ok_or_else(|| member.refused(wrong))?);
        }
        let is_file = |folder: &Folder| -> Result<bool> {
            Ok(folder
                .look(to_name)?
                .is_some_and(|seen| seen.kind == Kind::File))
        };
        if !is_file(home.as_ref().unwrap_or(&self.root))? {
            return Err(member.refused(wrong));
        }
        self.fresh(member, parent, name)?;
        let from = home.as_ref().unwrap_or(&self.root);
        let to = self
            .parent
            .as_ref()
            .map_or(&self.root, |(_, folder)| folder);
        match from.hard_link(to_name, to, name)? {
            true => Ok(()),
            false => Err(member.refused("this file system has no hard links")),
        }
    }

    /// The folder `parent`, in which there is no `name` any more.
    fn fresh(&mut self, member: &Member, parent: &Path, name: &str) -> Result<&Folder> {
        let folder = self.folder(member, parent)?;
        match folder.look(name)?.map(|seen| seen.kind) {
            None => {}
            Some(Kind::Folder) => return Err(member.refused("a folder of that name came before")),
            Some(_) => folder.remove(name)?,
        }
        Ok(folder)
    }

    /// The folder `path`, made with all above it where it is not there.
    fn folder(&mut self, member: &Member, path: &Path) -> Result<&Folder> {
        if path.as_os_str().is_empty() {
            self.parent = None;
            return Ok(&self.root);
        }
        if self.parent.as_ref().is_none_or(|(held, _)| held != path) {
            let mut at = PathBuf::new();
            let mut folder: Option<Folder> = None;
            for part in path {
                at.push(part);
                // Taken apart from UTF-8.
                let part = part.to_str().unwrap_or_default();
                let above = folder.as_ref().unwrap_or(&self.root);
                match above.look(part)?.map(|seen| seen.kind) {
                    None => {}
                    Some(Kind::Folder) => {}
                    Some(_) => {
                        return Err(member.refused("its path goes through what is no folder"));
                    }
                }
                folder = Some(above.make_child(part)?);
                self.attributes.set_default(&at, UNSAID);
            }
            self.parent = folder.map(|folder| (path.to_owned(), folder));
        }
        Ok(self
            .parent
            .as_ref()
            .map_or(&self.root, |(_, folder)| folder))
    }

    /// A name that stands before a member because the header has no room for it.
    fn long(&self, entry: &mut impl Read) -> Result<Vec<u8>> {
        let mut name = self.beside(entry)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn beside(&self, entry: &mut impl Read) -> Result<Vec<u8>> {
        let limit = self.limits.header_bytes;
        let mut bytes = Vec::new();
        let read = entry.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.read(error))?;
        match bytes.len() as u64 > limit {
            true => Err(ArchiveError::Limit {
                what: "the length of a path",
                limit,
            }),
            false => Ok(bytes),
        }
    }

    fn read(&self, error: io::Error) -> ArchiveError {
        read_error(error, self.limits.unpacked_bytes)
    }

    fn damaged(&self, error: io::Error) -> ArchiveError {
        ArchiveError::Damaged(error)
    }
}

/// The attributes of folders that an archive does not name.
const UNSAID: Attribute = Attribute {
    uid: 0,
    gid: 0,
    mode: 0o755,
    modified: 0,
};

enum Copy {
    Read(io::Error),
    Write(io::Error),
}

fn copy(from: &mut impl Read, to: &mut impl io::Write) -> std::result::Result<(), Copy> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(Copy::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Copy::Read(error)),
        }
    }
}

fn read_error(error: io::Error, limit: u64) -> ArchiveError {
    let over = error.get_ref().is_some_and(|inner| inner.is::<OverLimit>());
    match over {
        true => ArchiveError::Limit {
            what: "the number of bytes that it unpacks to",
            limit,
        },
        false => ArchiveError::Damaged(error),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unpacks to more than is allowed")]
struct OverLimit;

/// A reader that fails once it has given more than it may.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left =
            (self.left.checked_sub(count as u64)).ok_or_else(|| io::Error::other(OverLimit))?;
        Ok(count)
    }
}
