//! One consistent view of the tree, with the answers that are asked for most made beforehand.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bcm_core::names::{EntryName, RepoName, TagName};
use bytes::Bytes;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::json;
use super::listing;
use super::rendered::{JSON, Rendered};
use crate::catalog::local::{self, FileIdentity, LocalError, LocalScan};
use crate::catalog::{Entry, FlistRef, RegularFile, Repository, Symlink, Tag, TagRef};
use crate::layout::Layout;
use crate::mode::Mode;

/// As many links in a row as Linux follows.
const MAX_LINKS: usize = 40;

/// A folder that was changed this shortly before a scan may change once more without its time of
/// change moving, for the clock of a file system is coarse.
const CLOCK_GRAIN: Duration = Duration::from_millis(50);

/// The tree as it was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    scan: LocalScan,
    /// The identity of the state file, whose content the answers depend on too.
    state: Option<FileIdentity>,
    /// Whether an unchanged fingerprint proves an unchanged tree.
    settled: bool,
    repository_listings: BTreeMap<RepoName, OnceLock<Rendered>>,
    /// `/api/flist`
    pub(super) flist: Rendered,
    /// `/api/fileslist`
    pub(super) files_list: Rendered,
    /// `/api/repositories`
    pub(super) repositories: Rendered,
    pub(super) counts: Counts,
    facts: Facts,
    mode: Mode,
}

/// What the state file says for pages; all of it may be missing.
#[derive(Debug, Default, Deserialize)]
struct Facts {
    upstream: Option<String>,
    last_success: Option<i64>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) repositories: usize,
    pub(super) flists: usize,
    pub(super) links: usize,
    pub(super) tags: usize,
    /// Bytes of all flists together.
    pub(super) bytes: u64,
    /// What is in the tree but has no place there.
    pub(super) odd: usize,
}

/// A regular flist that a name leads to.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub(super) reference: FlistRef,
    pub(super) file: &'a RegularFile,
    pub(super) identity: FileIdentity,
}

impl Snapshot {
    /// Reads the tree. Blocks.
    pub(super) fn take(layout: &Layout) -> Result<Self, LocalError> {
        let started = SystemTime::now();
        // Before the scan: a state file that changes while the tree is read counts as changed.
        let state = identity(&layout.state());
        let scan = local::scan(layout)?;
        let settled = !scan
            .folders
            .iter()
            .map(|folder| folder.identity)
            .chain(state)
            .any(|identity| changed_around(&identity, started));
        let empty = || Rendered::new(JSON, Bytes::new(), false);
        let mut snapshot = Self {
            state,
            settled,
            repository_listings: BTreeMap::new(),
            flist: empty(),
            files_list: empty(),
            repositories: empty(),
            counts: counts(&scan),
            facts: facts(&layout.state()),
            // What cannot be told is said where something is written.
            mode: Mode::of(layout).unwrap_or_default(),
            scan,
        };
        snapshot.repository_listings = snapshot
            .repositories()
            .map(|(name, _)| (name.clone(), OnceLock::new()))
            .collect();
        snapshot.flist = render(&Names(&snapshot));
        snapshot.files_list = render(&FilesList(&snapshot));
        snapshot.repositories = render(&Repositories(&snapshot));
        Ok(snapshot)
    }

    /// Whether the tree may have changed since. Looks at every folder, blocks.
    pub(super) fn is_outdated(&self, layout: &Layout) -> bool {
        if !self.settled || identity(&layout.state()) != self.state {
            return true;
        }
        match self.scan.folders.first() {
            None => fs::symlink_metadata(layout.users()).is_ok(),
            Some(_) => self.has_moved(),
        }
    }

    /// Whether this is a mirror's content: a sync has published something, or ended and found nothing to
    /// publish. A sync that has begun leaves an empty tree for as long as it takes, and a folder that is not
    /// there is none; whoever mirrors this mirror would take either for all being deleted. A hub that never had
    /// an upstream is what it is.
    pub(super) fn is_ready(&self) -> bool {
        let there = !self.scan.folders.is_empty();
        self.counts.repositories > 0
            || there && self.facts.last_success.is_some()
            || self.mode == Mode::Standalone
    }

    /// Whether any folder that was read has changed since.
    pub(super) fn has_moved(&self) -> bool {
        self.scan
            .folders
            .iter()
            .any(|folder| FileIdentity::of_folder(&folder.path).ok() != Some(folder.identity))
    }

    pub(super) fn repositories(&self) -> impl Iterator<Item = (&RepoName, &Repository)> {
        self.scan.catalog.repositories.iter()
    }

    pub(super) fn repository(&self, name: &RepoName) -> Option<&Repository> {
        self.scan.catalog.repositories.get(name)
    }

    pub(super) fn entry(&self, repository: &RepoName, name: &EntryName) -> Option<&Entry> {
        self.repository(repository)?.entries.get(name)
    }

    pub(super) fn tag(&self, tag: &TagRef) -> Option<&Tag> {
        self.repository(&tag.repository)?.tags.get(&tag.tag)
    }

    pub(super) fn tag_of(&self, repository: &RepoName, tag: &TagName) -> Option<&Tag> {
        self.repository(repository)?.tags.get(tag)
    }

    /// All regular flists and their files.
    pub(super) fn files(&self) -> impl Iterator<Item = (&FlistRef, &FileIdentity)> {
        self.scan.files.iter()
    }

    /// The hub that was mirrored last, as the sync noted it.
    pub(super) fn upstream(&self) -> Option<&str> {
        self.facts.upstream.as_deref()
    }

    /// When everything was last in step with upstream, in seconds since 1970.
    pub(super) fn last_success(&self) -> Option<i64> {
        self.facts.last_success
    }

    /// Whether it follows an upstream. Whoever changes that writes the state file after it, so a new
    /// snapshot is taken.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// What has no place in the tree.
    pub(super) fn odd(&self) -> &[local::OddEntry] {
        &self.scan.odd
    }

    /// The regular flist at the end of the links that start at `from`; `None` where that dangles.
    pub(super) fn follow(&self, from: &FlistRef) -> Option<Found<'_>> {
        let mut reference = from.clone();
        for _ in 0..MAX_LINKS {
            match self.entry(&reference.repository, &reference.name)? {
                Entry::Regular(file) => {
                    let identity = *self.scan.files.get(&reference)?;
                    return Some(Found {
                        reference,
                        file,
                        identity,
                    });
                }
                Entry::Symlink(Symlink { target, .. }) => {
                    reference = target.resolve(&reference.repository);
                }
                Entry::TagLink(_) => return None,
            }
        }
        None
    }

    /// `/api/flist/REPO`
    pub(super) fn repository_listing(&self, name: &RepoName) -> Option<&Rendered> {
        let repository = self.repository(name)?;
        let listing = self.repository_listings.get(name)?;
        Some(listing.get_or_init(|| render(&listing::repository(self, name, repository))))
    }
}

/// The answers are plain data: writing them to memory does not fail.
fn render(value: &impl Serialize) -> Rendered {
    let bytes = json::to_bytes(value).unwrap_or_default();
    Rendered::new(JSON, bytes, true)
}

/// A state file that is missing or damaged only leaves these out; the scan reports it.
fn facts(path: &Path) -> Facts {
    fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

fn identity(path: &Path) -> Option<FileIdentity> {
    FileIdentity::of_folder(path).ok()
}

fn changed_around(identity: &FileIdentity, moment: SystemTime) -> bool {
    let changed = u64::try_from(identity.changed.seconds)
        .map(|seconds| Duration::new(seconds, identity.changed.nanoseconds))
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + changed + CLOCK_GRAIN >= moment
}

fn counts(scan: &LocalScan) -> Counts {
    let mut counts = Counts {
        repositories: scan.catalog.repositories.len(),
        flists: scan.files.len(),
        bytes: scan.files.values().map(|identity| identity.size).sum(),
        odd: scan.odd.len(),
        ..Counts::default()
    };
    for repository in scan.catalog.repositories.values() {
        counts.links += repository.entries.len();
        counts.tags += repository.tags.len();
    }
    counts.links -= counts.flists;
    counts
}

struct Names<'a>(&'a Snapshot);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names = serializer.serialize_seq(None)?;
        for (home, repository) in self.0.repositories() {
            let mut inside: Vec<String> = repository
                .tags
                .keys()
                .map(TagName::folder)
                .chain(repository.entries.keys().map(ToString::to_string))
                .collect();
            inside.sort_unstable();
            for name in inside {
                names.serialize_element(&format_args!("{home}/{name}"))?;
            }
        }
        names.end()
    }
}

struct FilesList<'a>(&'a Snapshot);

impl Serialize for FilesList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (home, repository) in self.0.repositories() {
            map.serialize_entry(home, &listing::repository(self.0, home, repository))?;
        }
        map.end()
    }
}

struct Repositories<'a>(&'a Snapshot);

impl Serialize for Repositories<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Listed<'a> {
            name: &'a RepoName,
            official: bool,
            updated: i64,
        }
        serializer.collect_seq(self.0.repositories().map(|(name, repository)| Listed {
            name,
            official: repository.official,
            updated: repository.updated,
        }))
    }
}
