//! Blocks that are held here and gone upstream.
//!
//! Upstream is asked for every block that is held, in a pipeline: the same answer as comparing with
//! a complete scan gives, with neither of the two lists in memory. What is gone is written down
//! with the time at which it was noticed, in the store's order, in `hub/gone-blocks`; what was
//! written down before is read beside it, so each keeps its time. After the time of grace a block
//! is deleted, unless an flist names it that is published or in a snapshot: then it is part of the
//! mirror whatever upstream's 0-db says. When a large share is gone at once, nothing is deleted.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bcm_core::atomic_file;
use bcm_core::deletion::{Grace, Guard};
use bcm_core::limiter::Limiter;
use bcm_core::progress::{Outcome, Unit};

use super::super::error::SyncError;
use super::{Failed, Mirrored, Namespace};
use crate::block::BlockKey;
use crate::catalog::{Catalog, Entry};
use crate::flist::{Flist, Limits};
use crate::layout::Layout;
use crate::snapshots;
use crate::store::{BlockInfo, Cursor, Direction};
use crate::zdb::client::{ClientError, ZdbClient};
use crate::zdb::resp::Reply;

/// How many keys are asked for at once.
const PAGE: usize = 4096;

/// How many blocks are compared with the published flists at once.
const CHUNK: usize = 65_536;

/// Bytes of a record: cursor, length of the key, key, time.
const RECORD: usize = 17 + 1 + 32 + 8;

/// A block that is gone upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gone {
    cursor: Cursor,
    key: BlockKey,
    /// Since when it is known, in seconds since 1970.
    since: i64,
}

impl Gone {
    fn encode(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let key = self.key.as_bytes();
        record[..17].copy_from_slice(&self.cursor.0);
        record[17] = u8::try_from(key.len()).unwrap_or(0);
        record[18..18 + key.len()].copy_from_slice(key);
        record[50..].copy_from_slice(&self.since.to_be_bytes());
        record
    }

    fn decode(record: &[u8; RECORD]) -> Option<Self> {
        let key = record.get(18..18 + usize::from(record[17]))?;
        Some(Self {
            cursor: Cursor(record[..17].try_into().ok()?),
            key: BlockKey::from_bytes(key).ok()?,
            since: i64::from_be_bytes(record[50..].try_into().ok()?),
        })
    }
}

/// The records of an earlier comparison, one after the other; none where there is no file, and no
/// more after one that cannot be read: then the time of grace begins again.
struct Before(Option<BufReader<File>>);

impl Before {
    fn open(path: &Path) -> Result<Self, SyncError> {
        match File::open(path) {
            Ok(file) => Ok(Self(Some(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(SyncError::io("read", path, error)),
        }
    }
}

impl Iterator for Before {
    type Item = Gone;
    fn next(&mut self) -> Option<Gone> {
        let mut record = [0; RECORD];
        self.0.as_mut()?.read_exact(&mut record).ok()?;
        Gone::decode(&record)
    }
}

impl Namespace<'_> {
    /// Finds what is gone, and deletes what has been gone for long enough.
    pub(super) async fn compare(
        &self,
        client: &mut ZdbClient,
        mirrored: &mut Mirrored,
    ) -> Result<(), Failed> {
        let path = self.layout.gone_blocks();
        let next = path.with_extension("new");
        let held = self.stats().await?.blocks;
        let task = self
            .progress
            .started("looking for deleted blocks", Unit::Blocks, Some(held));
        let found = self.note_gone(client, &path, &next, task).await;
        let outcome = match &found {
            Ok(_) => Outcome::Done,
            Err(_) => Outcome::Failed("it could not be compared".to_owned()),
        };
        self.progress.finished(task, &outcome);
        let count = found?;
        let replaced = std::fs::rename(&next, &path).and_then(|()| {
            path.parent().map_or(Ok(()), |p| {
                atomic_file::sync_dir(p).map_err(io::Error::other)
            })
        });
        replaced.map_err(|error| SyncError::io("replace", &path, error))?;
        if count == 0 {
            remove(&path)?;
            return Ok(());
        }
        mirrored.guard = Guard::check(count, held, self.config.max_delete);
        if mirrored.guard.is_some() {
            mirrored.awaiting = count;
            return Ok(());
        }
        mirrored.deleted = self.delete(&path).await?;
        mirrored.awaiting = count - mirrored.deleted;
        Ok(())
    }

    fn grace(&self) -> Grace {
        Grace {
            delete_after: self.config.delete_after,
            now: self.now,
        }
    }

    pub(super) async fn stats(&self) -> Result<crate::store::StoreStats, SyncError> {
        let store = Arc::clone(&self.store);
        let stats = tokio::task::spawn_blocking(move || store.stats()).await;
        Ok(stats.map_err(SyncError::Panicked)??)
    }

    /// Writes what is gone to `next`; how many that are.
    async fn note_gone(
        &self,
        client: &mut ZdbClient,
        path: &Path,
        next: &Path,
        task: bcm_core::progress::TaskId,
    ) -> Result<u64, Failed> {
        let mut before = Before::open(path)?.peekable();
        let failed = |error| SyncError::io("write", next, error);
        let mut file = BufWriter::new(File::create(next).map_err(failed)?);
        let limiter = &self.config.fetch.limiter;
        let grace = self.grace();
        let mut cursor: Option<Cursor> = None;
        let mut count = 0;
        loop {
            let (store, after) = (Arc::clone(&self.store), cursor);
            let scan = move || store.scan(after.as_ref(), Direction::Forward, PAGE);
            let page = tokio::task::spawn_blocking(scan).await;
            let page = page
                .map_err(SyncError::Panicked)?
                .map_err(SyncError::Store)?;
            let Some(last) = page.last() else {
                break;
            };
            cursor = Some(last.cursor);
            for block in absent(client, &page, limiter).await? {
                while before.next_if(|gone| gone.cursor < block.cursor).is_some() {}
                let known = before.next_if(|gone| gone.key == block.key);
                let gone = Gone {
                    cursor: block.cursor,
                    key: block.key,
                    since: grace.since(known.map(|known| known.since)),
                };
                file.write_all(&gone.encode()).map_err(failed)?;
                count += 1;
            }
            self.progress.advanced(task, page.len() as u64, 0);
        }
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(count)
    }

    /// Deletes what has been gone for the time of grace and is named by no flist that is kept.
    async fn delete(&self, path: &Path) -> Result<u64, SyncError> {
        let grace = self.grace();
        let work = {
            let (path, layout) = (path.to_owned(), self.layout.clone());
            let (store, published) = (Arc::clone(&self.store), self.published.clone());
            let limits = self.config.limits.clone();
            move || -> Result<u64, SyncError> {
                let mut due = Before::open(&path)?.filter(|gone| grace.is_over(gone.since));
                let mut deleted = 0;
                loop {
                    let mut chunk: HashSet<BlockKey> =
                        due.by_ref().take(CHUNK).map(|gone| gone.key).collect();
                    if chunk.is_empty() {
                        break;
                    }
                    keep_named(&layout, &published, &limits, &mut chunk)?;
                    let keys: Vec<BlockKey> = chunk.into_iter().collect();
                    for keys in keys.chunks(PAGE) {
                        deleted += store.remove(keys)?;
                    }
                }
                store.flush()?;
                Ok(deleted)
            }
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(SyncError::Panicked)?
    }
}

/// Those of `page` that upstream does not have.
async fn absent<'a>(
    client: &mut ZdbClient,
    page: &'a [BlockInfo],
    limiter: &Limiter,
) -> Result<Vec<&'a BlockInfo>, ClientError> {
    let mut absent = Vec::new();
    // Asked for ahead is no more than may be asked for in a second.
    let most = limiter.requests_a_second();
    let most = most.map_or(PAGE, |most| usize::try_from(most).unwrap_or(PAGE));
    for some in page.chunks(most.clamp(1, PAGE)) {
        for block in some {
            limiter.request().await;
            client.enqueue(&[b"EXISTS", block.key.as_bytes()]);
        }
        for block in some {
            match client.reply("EXISTS").await? {
                Reply::Integer(0) => absent.push(block),
                Reply::Integer(_) => {}
                other => return Err(client.unexpected("EXISTS", &other)),
            }
        }
    }
    Ok(absent)
}

/// Takes those out of `keys` that an flist names which is published or in a snapshot. An flist that
/// cannot be read keeps everything.
fn keep_named(
    layout: &Layout,
    published: &Catalog,
    limits: &Limits,
    keys: &mut HashSet<BlockKey>,
) -> Result<(), SyncError> {
    let scratch = layout.staging();
    let mut paths = snapshots::unpublished(layout)
        .map_err(|error| SyncError::io("read", &layout.snapshot_flists(), error))?;
    for (repository, contents) in &published.repositories {
        let folder = layout.users().join(repository.as_str());
        let flists = contents.entries.iter();
        paths.extend(
            flists
                .filter(|(_, entry)| matches!(entry, Entry::Regular(_)))
                .map(|(name, _)| folder.join(name.as_str())),
        );
    }
    for path in paths {
        let read = Flist::open(&path, limits, &scratch).and_then(|flist| {
            flist.for_each_block(&mut |key| {
                keys.remove(key);
                ControlFlow::Continue(())
            })
        });
        if let Err(error) = read {
            tracing::warn!(path = %path.display(), %error, "cannot be read, so no block is deleted");
            keys.clear();
            return Ok(());
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), SyncError> {
    atomic_file::remove_if_there(path).map_err(|error| SyncError::io("remove", path, error))
}
