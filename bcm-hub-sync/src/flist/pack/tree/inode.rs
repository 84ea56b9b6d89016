//! From what the file system says of a name to what the flist says of it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Packer, UNREAD};
use crate::block::codec::CHUNK_SIZE;
use crate::flist::entry::{Acl, DIRECTORY_SIZE, DirectoryKey, Inode, Kind, Special, SpecialType};
use crate::flist::message;
use crate::flist::pack::{Attribute, PackError};

impl Packer<'_> {
    /// What is in a directory, in upstream's order: directories first, each sorted by the bytes
    /// of the names.
    pub(super) fn names(&mut self, path: &Path) -> Result<Vec<(OsString, Metadata)>, PackError> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(e) => {
                let error = PackError::io("read the folder", path, e);
                self.leave_out(error)?;
                return Ok(Vec::new());
            }
        };
        let mut names = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.metadata() {
                Ok(metadata) => names.push((entry.file_name(), metadata)),
                Err(e) => self.leave_out(PackError::io("look at", &entry.path(), e))?,
            }
        }
        names.sort_by(|(a, a_is), (b, b_is)| {
            (b_is.is_dir().cmp(&a_is.is_dir())).then_with(|| a.as_bytes().cmp(b.as_bytes()))
        });
        Ok(names)
    }

    /// The inode of one name; `None` for what is left out.
    pub(super) fn inode(
        &mut self,
        path: &Path,
        parent: &Path,
        name: OsString,
        metadata: &Metadata,
    ) -> Result<Option<Inode>, PackError> {
        if self.own_files.contains(&(metadata.dev(), metadata.ino())) {
            return Ok(None);
        }
        if name.to_str().is_none() {
            return Err(PackError::NotUtf8 {
                path: path.to_owned(),
                what: "name",
            });
        }
        let kind = metadata.file_type();
        let device = |declared| Special {
            declared,
            data: format!(
                "{},{}",
                rustix::fs::major(metadata.rdev()),
                rustix::fs::minor(metadata.rdev())
            )
            .into_bytes(),
        };
        let (size, kind) = if kind.is_dir() {
            self.packed.tree.directories += 1;
            let key = DirectoryKey::of(parent.join(&name).as_os_str().as_bytes());
            (DIRECTORY_SIZE, Kind::Directory(key.to_string()))
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|e| PackError::io("read", path, e))?;
            if target.to_str().is_none() {
                return Err(PackError::NotUtf8 {
                    path: path.to_owned(),
                    what: "target",
                });
            }
            self.packed.tree.links += 1;
            let target = target.into_os_string();
            (target.len() as u64, Kind::Link(target))
        } else if kind.is_file() {
            let chunks = metadata.len().div_ceil(CHUNK_SIZE as u64);
            let chunks = usize::try_from(chunks).map_err(|_| PackError::TooLarge {
                path: path.to_owned(),
            })?;
            (metadata.len(), Kind::File(vec![UNREAD; chunks]))
        } else if kind.is_block_device() || kind.is_char_device() {
            self.packed.tree.specials += 1;
            let special = device(if kind.is_block_device() {
                SpecialType::Block
            } else {
                SpecialType::Character
            });
            (0, Kind::Special(special))
        } else if kind.is_fifo() {
            self.packed.tree.specials += 1;
            let special = Special {
                declared: SpecialType::Fifo,
                data: b"(nothing)".to_vec(),
            };
            (0, Kind::Special(special))
        } else {
            let reason = "sockets are not packed";
            self.packed.skipped.add(path, reason);
            return Ok(None);
        };
        let inside = parent.join(&name);
        let known = self.options.attributes.as_ref();
        let known = known.and_then(|known| known.get(&inside)).copied();
        let attribute = known.unwrap_or(Attribute {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode(),
            modified: metadata.mtime(),
        });
        let modified = seconds(attribute.modified);
        Ok(Some(Inode {
            name,
            size,
            kind,
            acl_key: self.acl(&attribute)?,
            modified,
            created: modified,
        }))
    }

    fn acl(&mut self, attribute: &Attribute) -> Result<String, PackError> {
        let (uid, gid, mode) = (attribute.uid, attribute.gid, attribute.mode & 0o7777);
        if let Some(key) = self.acl_keys.get(&(uid, gid, mode)) {
            return Ok(key.clone());
        }
        let acl = Acl {
            user: self.options.accounts.user(uid),
            group: self.options.accounts.group(gid),
            // 12 bits.
            mode: mode as u16,
            uid: uid.into(),
            gid: gid.into(),
        };
        self.write_acl((uid, gid, mode), &acl)
    }

    pub(super) fn write_acl(
        &mut self,
        id: (u32, u32, u32),
        acl: &Acl,
    ) -> Result<String, PackError> {
        let key = acl.key();
        // Root's own ACL may have other names than the accounts give it.
        if !self.acl_keys.values().any(|known| *known == key) {
            let bytes = message::write_acl(acl).map_err(|_| PackError::TooLarge {
                path: self.source.to_owned(),
            })?;
            self.writer.entry(&key, &bytes).map_err(PackError::Flist)?;
        }
        self.acl_keys.insert(id, key.clone());
        Ok(key)
    }
}

/// The nearest time that the format has.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}
