//! Publishing flists: from a folder, an archive or a file, or from one that is published elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bcm_core::digest::Md5;
use bcm_core::progress::Progress;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::{Files, Published, PublishingError};
use crate::catalog::diff::{FlistRecord, OWN_FORM};
use crate::catalog::local::{listed_size, open_flist};
use crate::catalog::{FlistRef, Item};
use crate::flist::{Flist, PackOptions, PackReport, pack};
use crate::store::BlockStore;
use crate::sync::publish::{StagedFlist, Step};
use crate::sync::restoring::{StagedName, missing_blocks, scratch};

type Result<T> = std::result::Result<T, PublishingError>;

/// The staged file, until its MD5 is known.
const NEW: &str = "new-flist";

/// What an flist is made of.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// An flist, whose blocks are in the store.
    Flist(&'a Path),
    /// A folder, which is packed, and its blocks stored. An archive that was unpacked is one, with
    /// [`PackOptions::attributes`].
    Folder(&'a Path),
}

/// How an flist is published.
#[derive(Debug, Clone, Default)]
pub struct PublishSettings {
    /// Whether what is there under the name may be replaced. Default: no.
    pub replace: bool,
    /// How a folder is packed.
    pub pack: PackOptions,
}

/// An flist in the staging folder that may be published.
#[derive(Debug)]
pub(super) struct Staged {
    file: String,
    md5: Md5,
    size: u64,
    files: Files,
}

impl Session {
    /// Publishes `content` as `place`, with its blocks in `store`. Blocks the thread.
    ///
    /// # Errors
    /// The name is taken; it is no flist, or asks for too much; the store lacks blocks of it; the disk is
    /// full or failing; or `cancel` was cancelled. Nothing is published then, and blocks that were stored
    /// stay.
    pub fn publish(
        &mut self,
        place: &FlistRef,
        content: Content<'_>,
        store: &dyn BlockStore,
        settings: &PublishSettings,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Published> {
        let replaced = self.may_take(&Item::Entry(place.clone()), settings.replace)?;
        let new = self.layout.staging().join(NEW);
        let mut packed: Option<PackReport> = None;
        let what = match content {
            Content::Flist(path) => {
                copy(path, &new, self.limits.compressed_bytes)?;
                path.display().to_string()
            }
            Content::Folder(path) if self.dry_run => {
                return self.would_pack(place, path, replaced);
            }
            Content::Folder(path) => {
                let mut options = settings.pack.clone();
                options.scratch = Some(scratch(&self.layout));
                let report = pack(path, &new, store, &options, progress, cancel);
                packed = Some(report.map_err(|error| match error {
                    crate::flist::PackError::Cancelled => PublishingError::Cancelled,
                    error => error.into(),
                })?);
                place.to_string()
            }
        };
        let staged = self.stage(place, &what, store)?;
        if cancel.is_cancelled() {
            return Err(PublishingError::Cancelled);
        }
        let mut published = self.publish_staged(place, staged, replaced)?;
        if let Some(packed) = packed {
            published.new_blocks = packed.new_blocks;
            published.left_out = packed.skipped.count;
        }
        Ok(published)
    }

    /// Publishes the flist that `from` is or leads to as `place`, too.
    ///
    /// # Errors
    /// There is no such flist, and as for [`Session::publish`].
    pub fn promote(
        &mut self,
        from: &FlistRef,
        place: &FlistRef,
        store: &dyn BlockStore,
        replace: bool,
    ) -> Result<Published> {
        let found = self.follow(from)?;
        let item = Item::Entry(place.clone());
        if found == *place {
            return Err(PublishingError::Exists {
                item,
                found: "the very flist that is to be copied",
            });
        }
        let replaced = self.may_take(&item, replace)?;
        let path = self.path_of(&found);
        let (file, _) = open_flist(&self.layout.users(), &found.repository, &found.name)
            .map_err(PublishingError::io("open", &path))?;
        copy_file(file, &path, &self.new_file(), self.limits.compressed_bytes)?;
        let staged = self.stage(place, &from.to_string(), store)?;
        self.publish_staged(place, staged, replaced)
    }

    /// The file that becomes an flist.
    pub(super) fn new_file(&self) -> PathBuf {
        self.layout.staging().join(NEW)
    }

    pub(super) fn path_of(&self, place: &FlistRef) -> PathBuf {
        let home = self.layout.users().join(&place.repository);
        home.join(&place.name)
    }

    /// Checks the file that is to become an flist: it opens within limits, all of its tree can be read,
    /// and every block that it names is in `store` and durable.
    pub(super) fn stage(
        &self,
        place: &FlistRef,
        what: &str,
        store: &dyn BlockStore,
    ) -> Result<Staged> {
        let new = self.new_file();
        // Who is told this knows nothing of a staging folder.
        let refused = |reason: String| PublishingError::Refused {
            what: what.to_owned(),
            reason: reason.replace(&new.display().to_string(), "it"),
        };
        // What somebody put a moment ago is there, but may not outlive a power cut.
        if !self.dry_run {
            store.flush()?;
        }
        let missing = missing_blocks(&self.layout, &new, &self.limits, store)?;
        let missing = missing.map_err(refused)?;
        if missing.count > 0 {
            return Err(PublishingError::BlocksMissing {
                what: what.to_owned(),
                count: missing.count,
                first: missing.first,
            });
        }
        let flist = Flist::open(&new, &self.limits, &scratch(&self.layout));
        let tree = flist.and_then(|flist| flist.inspect());
        let tree = tree.map_err(PublishingError::Flist)?.tree;
        let size = fs::metadata(&new)
            .map_err(PublishingError::io("look at", &new))?
            .len();
        let md5 = File::open(&new).and_then(Md5::of_reader);
        let md5 = md5.map_err(PublishingError::io("read", &new))?;
        let file = StagedName::of(place).whole(&md5);
        let staged = self.layout.staging().join(&file);
        fs::rename(&new, &staged).map_err(PublishingError::io("rename", &new))?;
        Ok(Staged {
            file,
            md5,
            size,
            files: Files {
                regular: tree.files,
                symlink: tree.links,
                directory: tree.directories,
                special: tree.specials,
                fullsize: tree.bytes,
            },
        })
    }

    /// Lets a staged flist appear.
    pub(super) fn publish_staged(
        &mut self,
        place: &FlistRef,
        staged: Staged,
        replaced: bool,
    ) -> Result<Published> {
        let now = self.now;
        let step = Step::Flist(StagedFlist {
            place: place.clone(),
            file: staged.file,
            size: staged.size,
            updated: now,
        });
        let record = own_record(staged.md5, staged.size, now, now);
        self.commit(vec![step], vec![(place.clone(), record)])?;
        Ok(Published {
            place: place.clone(),
            md5: Some(staged.md5),
            size: staged.size,
            files: staged.files,
            new_blocks: 0,
            left_out: 0,
            replaced,
        })
    }

    /// What is known of a folder before it is packed: that it is one.
    fn would_pack(&self, place: &FlistRef, path: &Path, replaced: bool) -> Result<Published> {
        fs::read_dir(path).map_err(PublishingError::io("read the folder", path))?;
        Ok(Published {
            place: place.clone(),
            md5: None,
            size: 0,
            files: Files::default(),
            new_blocks: 0,
            left_out: 0,
            replaced,
        })
    }
}

/// What is remembered of an flist that an operator published. No sync makes one in this form, so it
/// is compared with upstream once this is a mirror again.
pub(super) fn own_record(md5: Md5, size: u64, updated: i64, now: i64) -> FlistRecord {
    FlistRecord {
        md5,
        listed_size: listed_size(size),
        updated,
        listed_at: 0,
        checked: now,
        file_size: size,
        file_md5: md5,
        form: OWN_FORM.to_owned(),
        blocks: true,
    }
}

fn copy(from: &Path, to: &Path, most: u64) -> Result<()> {
    let metadata = fs::metadata(from).map_err(PublishingError::io("look at", from))?;
    if !metadata.is_file() {
        return Err(PublishingError::Refused {
            what: from.display().to_string(),
            reason: "it is not a file".to_owned(),
        });
    }
    let file = File::open(from).map_err(PublishingError::io("open", from))?;
    copy_file(file, from, to, most)
}

/// Copies at most `most` bytes, and makes them durable.
fn copy_file(file: File, from: &Path, to: &Path, most: u64) -> Result<()> {
    let mut new = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)
        .map_err(PublishingError::io("make", to))?;
    let copied = io::copy(&mut file.take(most.saturating_add(1)), &mut new);
    let copied = copied.map_err(PublishingError::io("write", to))?;
    if copied > most {
        return Err(PublishingError::Refused {
            what: from.display().to_string(),
            reason: format!("it has more than {most} bytes"),
        });
    }
    new.flush()
        .and_then(|()| new.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| new.sync_all())
        .map_err(PublishingError::io("write", to))
}
