//! What was refused, and why.

use std::collections::BTreeSet;

use bcm_core::names::RepoName;

use crate::catalog::{Item, TagRef};

pub use bcm_core::refused::{MAX_NAMED, Refused};

/// What was refused of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    named: Vec<Refused>,
    total: u64,
    kept: BTreeSet<Item>,
    unread: BTreeSet<RepoName>,
    muted: bool,
}

impl Refusals {
    /// The refused things, the first [`MAX_NAMED`] of them.
    #[must_use]
    pub fn named(&self) -> &[Refused] {
        &self.named
    }

    /// How many were refused in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What upstream lists in some form that is refused. A mirror keeps what it has of these: they
    /// are not deleted, only not understood.
    #[must_use]
    pub fn kept(&self) -> &BTreeSet<Item> {
        &self.kept
    }

    /// Repositories of which nothing could be read: what a link into them leads to is not known.
    #[must_use]
    pub fn unread(&self) -> &BTreeSet<RepoName> {
        &self.unread
    }

    /// From now on, what is refused is only noted as to be kept, or named and counted again. What
    /// nobody asked for is nobody's concern, unless a link leads to it.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// An empty one that is muted as this one is.
    pub(super) fn same_voice(&self) -> Self {
        Self {
            muted: self.muted,
            ..Self::default()
        }
    }

    /// Refuses the listing of the repository `name` as a whole.
    pub fn add_unread(&mut self, name: &RepoName, reason: String) {
        self.unread.insert(name.clone());
        self.add(Some(Item::Repository(name.clone())), name.as_str(), reason);
    }

    /// Refuses `subject`, which is `item` where that is known.
    pub fn add(&mut self, item: Option<Item>, subject: &str, reason: String) {
        self.kept.extend(item);
        if self.muted {
            return;
        }
        self.total += 1;
        if self.named.len() < MAX_NAMED {
            let subject = super::clipped(subject);
            self.named.push(Refused { subject, reason });
        }
    }

    /// Notes that what is held of `item` is to be kept.
    pub fn keep(&mut self, item: Item) {
        self.kept.insert(item);
    }

    /// Refuses the tag `place` because `inside` of it was refused.
    pub(super) fn add_tag(&mut self, place: &TagRef, inside: Self) {
        for refused in inside.named {
            let reason = format!("{}: {}", refused.subject, refused.reason);
            self.add(Some(place.clone().into()), &place.to_string(), reason);
        }
    }

    /// Adds what `other` refused.
    pub fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.kept.extend(other.kept);
        self.unread.extend(other.unread);
        let room = MAX_NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }
}
