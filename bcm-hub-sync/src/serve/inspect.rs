//! Looks into flists, and remembers what it saw for a while.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tokio::sync::OnceCell;

use super::failure::Failure;
use super::json::{self, Json};
use super::options::ServeOptions;
use super::rendered::{JSON, Rendered};
use super::snapshot::Found;
use super::workers::Workers;
use crate::catalog::FlistRef;
use crate::catalog::local::{FileIdentity, open_flist};
use crate::flist::{self, Backend, Contents, Flist};

/// How much of what was seen is remembered, in bytes.
const MEMORY: usize = 64 * 1024 * 1024;
/// From this many slots on, the empty ones are looked for.
const MANY_SLOTS: usize = 1024;
/// Flists that are unpacked at the same time.
const UNPACKING: usize = 2;

/// What is in an flist.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) contents: Contents,
    pub(super) metadata: Metadata,
}

/// An flist's metadata as hubs answer it: one object, each value JSON where it is.
#[derive(Debug)]
pub(super) struct Metadata(pub(super) Vec<(String, Json)>);

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Inspected {
    /// `/api/flist/REPO/FLIST`. May take long, blocks.
    pub(super) fn contents_json(&self, compress: bool) -> Rendered {
        let bytes = json::to_bytes(&self.contents).unwrap_or_default();
        Rendered::new(JSON, bytes, compress)
    }

    /// About how many bytes of memory it takes.
    fn cost(&self) -> usize {
        let content = &self.contents.content;
        let paths: usize = content.iter().map(|file| file.path.capacity()).sum();
        let metadata: usize = self
            .metadata
            .0
            .iter()
            .map(|(_, value)| json_cost(value))
            .sum();
        1024 + content.capacity() * size_of::<flist::ListedFile>() + paths + metadata
    }
}

fn json_cost(value: &Json) -> usize {
    size_of::<Json>()
        + match value {
            Json::Text(text) => text.capacity(),
            Json::List(items) => items.iter().map(json_cost).sum(),
            Json::Object(members) => members
                .iter()
                .map(|(name, value)| 24 + name.capacity() + json_cost(value))
                .sum(),
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        }
}

/// What hubs answer for the metadata of a link that leads nowhere: the backend that they would use.
#[derive(Debug, Serialize)]
pub(super) struct ForcedBackend {
    #[serde(rename = "backend-forced")]
    backend: Forced,
}

/// Without a password: the answer is public.
#[derive(Debug, Serialize)]
struct Forced {
    host: String,
    port: u16,
    namespace: String,
}

impl ForcedBackend {
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            backend: Forced {
                host: backend.host.clone(),
                port: backend.port,
                namespace: backend.namespace.clone(),
            },
        }
    }
}

/// Looks into flists, a few at a time.
#[derive(Debug)]
pub(super) struct Inspector {
    users: PathBuf,
    scratch: PathBuf,
    limits: flist::Limits,
    workers: Workers,
    memory: Mutex<Memory>,
}

/// What was seen, up to a number of bytes; what was not asked for longest goes first.
#[derive(Debug)]
struct Memory {
    slots: HashMap<FileIdentity, Slot>,
    limit: usize,
    bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Slot {
    cell: Arc<OnceCell<Arc<Inspected>>>,
    /// Zero until it is filled.
    cost: usize,
    used: u64,
}

impl Memory {
    fn new(limit: usize) -> Self {
        Self {
            slots: HashMap::new(),
            limit,
            bytes: 0,
            clock: 0,
        }
    }

    fn slot(&mut self, identity: FileIdentity) -> Arc<OnceCell<Arc<Inspected>>> {
        if self.slots.len() >= MANY_SLOTS {
            // Those that are empty belong to clients that did not wait.
            self.slots
                .retain(|_, slot| slot.cost > 0 || Arc::strong_count(&slot.cell) > 1);
        }
        self.clock += 1;
        let slot = self.slots.entry(identity).or_default();
        slot.used = self.clock;
        Arc::clone(&slot.cell)
    }

    fn filled(&mut self, identity: FileIdentity, cost: usize) {
        if let Some(slot) = self.slots.get_mut(&identity)
            && slot.cost == 0
        {
            slot.cost = cost;
            self.bytes += cost;
        }
        while self.bytes > self.limit {
            let oldest = self
                .slots
                .iter()
                .filter(|(_, slot)| slot.cost > 0)
                .min_by_key(|(_, slot)| slot.used)
                .map(|(identity, _)| *identity);
            let Some(slot) = oldest.and_then(|identity| self.slots.remove(&identity)) else {
                break;
            };
            self.bytes -= slot.cost;
        }
    }

    /// Forgets a slot that nobody could fill, unless somebody else is at it.
    fn failed(&mut self, identity: &FileIdentity) {
        if let Some(slot) = self.slots.get(identity)
            && slot.cost == 0
            && Arc::strong_count(&slot.cell) <= 2
        {
            self.slots.remove(identity);
        }
    }
}

impl Inspector {
    pub(super) fn new(options: &ServeOptions) -> Self {
        Self {
            users: options.layout.users(),
            scratch: options.scratch.clone(),
            limits: options.flist_limits.clone(),
            workers: Workers::new(UNPACKING),
            memory: Mutex::new(Memory::new(MEMORY)),
        }
    }

    /// What is in the flist `found`; many who ask at the same time wait for one look.
    pub(super) async fn of(&self, found: &Found<'_>) -> Result<Arc<Inspected>, Failure> {
        let identity = found.identity;
        let cell = self.memory().slot(identity);
        let result = cell
            .get_or_try_init(|| async {
                let (users, scratch) = (self.users.clone(), self.scratch.clone());
                let (limits, reference) = (self.limits.clone(), found.reference.clone());
                self.workers
                    .run(move || look(&users, &reference, identity, &limits, &scratch))
                    .await?
                    .map(Arc::new)
            })
            .await
            .cloned();
        match &result {
            Ok(inspected) => self.memory().filled(identity, inspected.cost()),
            Err(_) => self.memory().failed(&identity),
        }
        result
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the flist if its file is the expected one, before and after. Blocks.
fn look(
    users: &Path,
    reference: &FlistRef,
    expected: FileIdentity,
    limits: &flist::Limits,
    scratch: &Path,
) -> Result<Inspected, Failure> {
    let still_there = || match open_flist(users, &reference.repository, &reference.name) {
        Ok((_, identity)) if identity == expected => Ok(()),
        Ok(_) => Err(Failure::Changed),
        Err(error) => Err(Failure::opening(reference, error)),
    };
    still_there()?;
    fs::create_dir_all(scratch).map_err(|error| Failure::reading(reference, error))?;
    let path = users.join(&reference.repository).join(&reference.name);
    let damaged = |error: flist::FlistError| {
        // The file may have been replaced under the reader: then that is what went wrong.
        still_there().err().unwrap_or_else(|| Failure::Damaged {
            reference: reference.clone(),
            source: Box::new(error),
        })
    };
    let flist = Flist::open(&path, limits, scratch).map_err(damaged)?;
    let contents = flist.contents().map_err(damaged)?;
    let metadata = flist
        .metadata()
        .iter()
        .map(|(name, text)| (name.to_owned(), Json::of_metadata(text)))
        .collect();
    still_there()?;
    Ok(Inspected {
        contents,
        metadata: Metadata(metadata),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::local::Timestamp;

    fn identity(inode: u64) -> FileIdentity {
        let time = Timestamp {
            seconds: 0,
            nanoseconds: 0,
        };
        FileIdentity {
            device: 1,
            inode,
            size: 1,
            modified: time,
            changed: time,
        }
    }

    fn inspected() -> Arc<Inspected> {
        Arc::new(Inspected {
            contents: Contents::default(),
            metadata: Metadata(Vec::new()),
        })
    }

    fn fill(memory: &mut Memory, inode: u64, cost: usize) {
        let cell = memory.slot(identity(inode));
        cell.set(inspected()).unwrap();
        memory.filled(identity(inode), cost);
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let mut memory = Memory::new(100);
        fill(&mut memory, 1, 40);
        fill(&mut memory, 2, 40);
        memory.slot(identity(1));
        fill(&mut memory, 3, 40);
        assert_eq!(memory.bytes, 80);
        assert!(memory.slots.contains_key(&identity(1)));
        assert!(!memory.slots.contains_key(&identity(2)));
        // Asking again for what is there costs nothing more.
        memory.filled(identity(1), 40);
        assert_eq!(memory.bytes, 80);
        // One that is larger than all the room is not kept.
        fill(&mut memory, 4, 1000);
        assert_eq!((memory.bytes, memory.slots.len()), (0, 0));
    }

    #[test]
    fn slots_that_were_never_filled_do_not_pile_up() {
        let mut memory = Memory::new(100);
        for inode in 0..10_000 {
            memory.slot(identity(inode));
        }
        assert!(memory.slots.len() <= MANY_SLOTS);
        let waiting = memory.slot(identity(0));
        memory.slot(identity(1));
        memory.failed(&identity(1));
        assert!(!memory.slots.contains_key(&identity(1)));
        let other = memory.slot(identity(0));
        memory.failed(&identity(0));
        assert!(
            memory.slots.contains_key(&identity(0)),
            "somebody waits for it"
        );
        drop((waiting, other));
    }
}
