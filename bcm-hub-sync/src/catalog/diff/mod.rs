//! The difference between what upstream lists and what is held here: a pure function.
//!
//! Every entry is compared by itself; a folder's time decides nothing. An flist is taken as
//! unchanged only when upstream lists the size and time that were listed when it was last
//! verified, and the file here is still as it was published. Any other size or time, an older one
//! as well, is a change. Where size and time may lie (upstream's file was changed in the very
//! seconds in which it was listed, or its MD5 was not asked for a long time) the MD5 decides.
//!
//! What upstream does not list any more gets a tombstone and is deleted after a time of grace; when
//! it comes back, its tombstone is forgotten. When a large part is missing at once, something is
//! wrong with upstream, and nothing is deleted.

mod gone;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bcm_core::deletion::Guard;
use bcm_core::names::RepoName;
use serde::Serialize;

use super::selection::Wanted;
use super::{Catalog, Entry, FlistRef, Item, RegularFile, Symlink, Tag, TagLink, TagRef};

pub(crate) use gone::needed_by;
pub use memory::{FlistRecord, Memory};
pub(crate) use memory::{NO_FORM, OWN_FORM};

/// How long before a listing a file must have been changed, in seconds of upstream's clock, so
/// that a later change cannot carry the same time: times are listed in whole seconds.
pub const SAME_TIME_MARGIN: i64 = 2;

/// How a difference is made.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffOptions {
    /// This machine's time, in seconds since 1970.
    pub now: i64,
    /// How long an entry that upstream does not list any more is kept; `None` keeps it for ever.
    pub delete_after: Option<Duration>,
    /// The share of the held entries, from 0 to 1, that may be missing before nothing is deleted.
    pub max_delete: f64,
    /// How long an flist is believed unchanged by its size and time alone.
    pub recheck_after: Duration,
    /// In what form flists are published; see [`FlistRecord::form`].
    pub form: String,
    /// Whether a published flist must have all its blocks here.
    pub blocks: bool,
    /// Treat every flist as if its blocks might be missing.
    pub recheck_blocks: bool,
    /// What is kept, with all that it leads to, whatever upstream deletes.
    pub pinned: BTreeSet<Item>,
}

/// What has to happen to an flist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is not here.
    New,
    /// Upstream lists another size or time than when it was last verified.
    Listing,
    /// Its MD5 is another one, though its size and time are the same.
    Md5,
    /// The file here is not as it was published.
    LocalFile,
    /// It is here, but nothing is remembered of it.
    Unrecorded,
    /// It is to be published in another form.
    Form,
    /// It was published without its blocks, or they are to be checked again.
    Blocks,
}

/// An flist that is new or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlistChange {
    /// Which.
    pub place: FlistRef,
    /// What upstream lists of it.
    #[serde(skip)]
    pub listed: RegularFile,
    /// Why it is fetched.
    pub reason: Reason,
}

/// What has to be done to make a mirror equal to what is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// Repositories whose folders are to be made.
    pub repositories: Vec<RepoName>,
    /// Flists to fetch.
    pub flists: Vec<FlistChange>,
    /// Flists of which the MD5 decides whether they are fetched.
    pub doubtful: Vec<(FlistRef, RegularFile)>,
    /// How many flists are as they should be.
    pub unchanged: u64,
    /// Links to make or to turn.
    pub links: Vec<(FlistRef, Symlink)>,
    /// Tags to make or to replace.
    pub tags: Vec<(TagRef, Tag)>,
    /// Links to tags to make or to turn.
    pub taglinks: Vec<(FlistRef, TagLink)>,
    /// Folders of repositories and tags with another time than upstream's.
    pub times: Vec<(Item, i64)>,
    /// What is deleted now: entries and tags before their repositories.
    pub deletions: Vec<Item>,
    /// Since when what is missing is missing: the tombstones as they are after this.
    pub tombstones: BTreeMap<Item, i64>,
    /// Set when so much is missing that nothing is deleted.
    pub guard: Option<Guard>,
}

impl Diff {
    /// Whether there is nothing to do to the tree. There may still be doubts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.repositories.is_empty()
            && self.flists.is_empty()
            && self.links.is_empty()
            && self.tags.is_empty()
            && self.taglinks.is_empty()
            && self.times.is_empty()
            && self.deletions.is_empty()
    }
}

/// Compares what is wanted with what is here and with what is remembered of it.
#[must_use]
pub fn diff(wanted: &Wanted, local: &Catalog, memory: &Memory, options: &DiffOptions) -> Diff {
    let mut diff = Diff::default();
    for (home, repository) in &wanted.catalog.repositories {
        match local.repositories.get(home) {
            None => diff.repositories.push(home.clone()),
            Some(held) if held.updated == repository.updated => continue,
            Some(_) => {}
        }
        if !wanted.untimed.contains(home) {
            let item = Item::Repository(home.clone());
            diff.times.push((item, repository.updated));
        }
    }
    for (place, entry) in wanted.catalog.entries() {
        let held = local.entry(&place);
        match entry {
            Entry::Regular(listed) => diff.flist(place, listed, held, memory, options),
            same if held == Some(same) => {}
            Entry::Symlink(link) => diff.links.push((place, link.clone())),
            Entry::TagLink(link) => diff.taglinks.push((place, link.clone())),
        }
    }
    for (place, tag) in wanted.catalog.tags() {
        match local.tag(&place) {
            Some(held) if held.links == tag.links => {
                if held.updated != tag.updated {
                    diff.times.push((Item::Tag(place), tag.updated));
                }
            }
            _ => diff.tags.push((place, tag.clone())),
        }
    }
    diff.gone(wanted, local, memory, options);
    diff
}

impl Diff {
    fn flist(
        &mut self,
        place: FlistRef,
        listed: &RegularFile,
        held: Option<&Entry>,
        memory: &Memory,
        options: &DiffOptions,
    ) {
        let held = match held {
            Some(Entry::Regular(file)) => Some(file),
            _ => None,
        };
        let reason = match (held, memory.flists.get(&place)) {
            (None, _) => Reason::New,
            (Some(_), None) => Reason::Unrecorded,
            (Some(held), Some(record)) => match compare(listed, held, record, options) {
                Verdict::Same => {
                    self.unchanged += 1;
                    return;
                }
                Verdict::Doubtful => {
                    self.doubtful.push((place, listed.clone()));
                    return;
                }
                Verdict::Changed(reason) => reason,
            },
        };
        self.flists.push(FlistChange {
            place,
            listed: listed.clone(),
            reason,
        });
    }
}

enum Verdict {
    Same,
    Doubtful,
    Changed(Reason),
}

fn compare(
    listed: &RegularFile,
    held: &RegularFile,
    record: &FlistRecord,
    options: &DiffOptions,
) -> Verdict {
    if listed.listed_size != record.listed_size || listed.updated != record.updated {
        return Verdict::Changed(Reason::Listing);
    }
    if held.size != Some(record.file_size) || held.updated != record.updated {
        return Verdict::Changed(Reason::LocalFile);
    }
    if record.form != options.form {
        return Verdict::Changed(Reason::Form);
    }
    if options.blocks && (!record.blocks || options.recheck_blocks) {
        return Verdict::Changed(Reason::Blocks);
    }
    let recheck_after = i64::try_from(options.recheck_after.as_secs()).unwrap_or(i64::MAX);
    let age = options.now.saturating_sub(record.checked);
    // A negative age: this machine's clock was set back, so nothing is known of the age.
    if !(0..recheck_after).contains(&age)
        || record.updated.saturating_add(SAME_TIME_MARGIN) > record.listed_at
    {
        return Verdict::Doubtful;
    }
    Verdict::Same
}

#[cfg(test)]
mod tests;
