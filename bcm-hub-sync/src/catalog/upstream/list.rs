//! Puts the catalogue of a hub together.
//!
//! Where the hub has `/api/fileslist`, all repositories come in one answer, else one by one and
//! only those that are needed. What is *in* a tag is listed nowhere but in the tag's own listing,
//! and nothing else tells reliably that it changed (a restored backup sets the folder's time back),
//! so every selected tag is listed at every sync: one small request each, many at a time.
//!
//! A catalogue comes from one hub as a whole, for two hubs may be of different age. When the hub
//! goes away in the middle, the next one is asked from the beginning.

use std::collections::{BTreeMap, BTreeSet};

use bcm_core::names::RepoName;
use bcm_core::progress::{Level, Outcome, Progress, Unit};
use futures_util::{StreamExt as _, stream};

use super::parse::{self, Entries, Refusals, RepositoryInfo};
use super::{UpstreamError, Upstreams};
use crate::catalog::selection::Selection;
use crate::catalog::{Catalog, Entry, FlistRef, Repository, Tag, TagRef};

/// What a hub lists, as far as a selection needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The entries. Of tags, only those that were needed are in it.
    pub catalog: Catalog,
    /// What was refused or could not be read, with what is therefore kept as it is here.
    pub refusals: Refusals,
    /// Repositories whose folder's time is not known.
    pub untimed: BTreeSet<RepoName>,
    /// The official repositories; `None` where the hub did not say.
    pub official: Option<BTreeSet<RepoName>>,
    /// Which of the hubs it came from.
    pub hub: usize,
    /// When the entries were listed, in seconds since 1970 by the hub's own clock. Where the hub
    /// does not tell its time: an hour before this machine's.
    pub listed_at: i64,
}

/// No hub could be listed.
#[derive(Debug, thiserror::Error)]
#[error("no upstream could be listed; the last one asked was {hub}")]
pub struct ListError {
    /// The hub that was asked last.
    pub hub: String,
    /// Why it failed.
    #[source]
    pub source: UpstreamError,
}

/// Lists the first hub that answers. `now` is this machine's time in seconds since 1970.
///
/// # Errors
/// None of them did; the reasons of all but the last go to `progress`.
pub async fn list(
    upstreams: &Upstreams,
    selection: &Selection,
    now: i64,
    progress: &dyn Progress,
) -> Result<Listed, ListError> {
    let mut last = None;
    for hub in 0..upstreams.count() {
        let task = progress.started("listing", Unit::Items, None);
        let mut listing = Listing {
            upstreams,
            selection,
            now,
            listed: Listed {
                hub,
                listed_at: i64::MAX,
                ..Listed::default()
            },
            infos: BTreeMap::new(),
            passed_over: None,
        };
        let is_last = hub + 1 == upstreams.count();
        match listing.run(is_last).await {
            Ok(()) => {
                let entries = listing.listed.catalog.entries().count() as u64;
                progress.advanced(task, entries, 0);
                progress.finished(task, &Outcome::Done);
                if let Some(text) = &listing.passed_over {
                    progress.note(Level::Warning, text);
                }
                return Ok(listing.listed);
            }
            Err(error) => {
                progress.finished(task, &Outcome::Failed(error.chain()));
                if !is_last {
                    let text = format!("{}; asking the next upstream", error.chain());
                    progress.note(Level::Warning, &text);
                }
                last = Some(ListError {
                    hub: upstreams.name(hub),
                    source: error,
                });
            }
        }
    }
    Err(last.unwrap_or_else(|| ListError {
        hub: "none: there is no upstream".to_owned(),
        source: UpstreamError::GivenUp {
            hub: "no upstream".to_owned(),
            failures: 0,
        },
    }))
}

struct Listing<'a> {
    upstreams: &'a Upstreams,
    selection: &'a Selection,
    now: i64,
    listed: Listed,
    infos: BTreeMap<RepoName, RepositoryInfo>,
    /// What was of no use, and is not needed.
    passed_over: Option<String>,
}

impl Listing<'_> {
    async fn run(&mut self, is_last: bool) -> Result<(), UpstreamError> {
        let hub = self.listed.hub;
        let (bulk, infos) = tokio::join!(
            self.upstreams.fileslist(hub),
            self.upstreams.repositories(hub)
        );
        let selection = self.selection;
        let selected = |name: &str| selection.matches_repository(name);
        let mut refusals = Refusals::default();
        let bulk = bulk.and_then(|answer| {
            self.listed_at(answer.date());
            answer.parse(|body| parse::fileslist(body, self.now, &selected, &mut refusals))
        });
        let infos = infos.and_then(|answer| {
            answer.parse(|body| parse::repositories(body, self.now, &selected, &mut refusals))
        });
        self.listed.refusals.merge(refusals);
        match (bulk, infos) {
            (Ok(all), Ok(infos)) => {
                self.know(infos);
                for (name, entries) in all {
                    self.insert(name, entries);
                }
            }
            // The folders' times and the official marks are worth less than the flists.
            (Ok(all), Err(error)) if !error.is_outage() || is_last => {
                let reason = format!("folders' times are left alone: {}", error.chain());
                self.listed.refusals.add(None, "/api/repositories", reason);
                for (name, entries) in all {
                    self.insert(name, entries);
                }
            }
            (Err(error), Ok(infos)) => {
                tracing::debug!(%error, "no fileslist, listing one by one");
                // A hub from before there was one is fine; one that is wrong is worth a word.
                if !error.is_not_found() {
                    let why = error.chain();
                    self.passed_over = Some(format!(
                        "/api/fileslist is of no use, so all is listed one by one: {why}"
                    ));
                }
                self.know(infos);
                let selected = self
                    .infos
                    .keys()
                    .filter(|name| self.selection.repository(name));
                let selected: Vec<_> = selected.cloned().collect();
                self.list_repositories(selected, is_last).await?;
            }
            (_, Err(error)) => return Err(error),
        }
        self.list_linked(is_last).await?;
        self.list_tags(is_last).await?;
        self.list_linked(is_last).await
    }

    /// Notes that entries were listed at `date`.
    fn listed_at(&mut self, date: Option<i64>) {
        const UNKNOWN: i64 = 60 * 60;
        let date = date.unwrap_or(self.now.saturating_sub(UNKNOWN));
        self.listed.listed_at = self.listed.listed_at.min(date);
    }

    fn know(&mut self, infos: BTreeMap<RepoName, RepositoryInfo>) {
        let official = infos.iter().filter(|(_, info)| info.official);
        self.listed.official = Some(official.map(|(name, _)| name.clone()).collect());
        self.infos = infos;
    }

    fn insert(&mut self, name: RepoName, entries: Entries) {
        let info = self.infos.get(&name);
        let updated = info.and_then(|info| info.updated);
        if updated.is_none() {
            self.listed.untimed.insert(name.clone());
        }
        let tag = |updated| Tag {
            updated,
            ..Tag::default()
        };
        let repository = Repository {
            official: info.is_some_and(|info| info.official),
            updated: updated.unwrap_or(0),
            entries: entries.entries,
            tags: entries
                .tags
                .into_iter()
                .map(|(name, time)| (name, tag(time)))
                .collect(),
        };
        self.listed.catalog.repositories.insert(name, repository);
    }

    /// Lists repositories one by one, many at a time.
    async fn list_repositories(
        &mut self,
        names: Vec<RepoName>,
        is_last: bool,
    ) -> Result<(), UpstreamError> {
        let (upstreams, hub, now) = (self.upstreams, self.listed.hub, self.now);
        let selection = self.selection;
        let mut answers = stream::iter(names)
            .map(|name| async move {
                let mut refusals = Refusals::default();
                refusals.mute(!selection.repository(&name));
                let result = upstreams.repository(hub, &name).await;
                let result = result.and_then(|answer| {
                    let parse = |body: &[u8]| parse::repository(body, &name, now, &mut refusals);
                    Ok((answer.parse(parse)?, answer.date()))
                });
                (name, result, refusals)
            })
            .buffer_unordered(upstreams.parallel());
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await {
            all.push(answer);
        }
        drop(answers);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, result, refusals) in all {
            self.listed.refusals.merge(refusals);
            match result {
                Ok((entries, date)) => {
                    self.listed_at(date);
                    self.insert(name, entries);
                }
                Err(error) if error.is_outage() && !is_last => return Err(error),
                Err(error) => {
                    let reason = format!("could not be listed: {}", error.chain());
                    self.listed.refusals.add_unread(&name, reason);
                    self.insert(name, Entries::default());
                }
            }
        }
        Ok(())
    }

    /// Lists the repositories that links lead into, until there are no more of them. Each is
    /// listed once, so a hub cannot keep this going for longer than its own list of repositories.
    async fn list_linked(&mut self, is_last: bool) -> Result<(), UpstreamError> {
        loop {
            let missing = self.unlisted();
            if missing.is_empty() {
                return Ok(());
            }
            self.list_repositories(missing, is_last).await?;
        }
    }

    /// The repositories that exist, are led into, and were not listed yet.
    fn unlisted(&self) -> Vec<RepoName> {
        let catalog = &self.listed.catalog;
        let mut missing = BTreeSet::new();
        let mut note = |name: &RepoName| {
            if !catalog.repositories.contains_key(name) && self.infos.contains_key(name) {
                missing.insert(name.clone());
            }
        };
        let mut queue: Vec<FlistRef> = Vec::new();
        for (place, tag) in catalog.tags() {
            let targets = tag.links.values();
            queue.extend(targets.map(|link| link.target.resolve(&place.repository)));
        }
        for (place, entry) in self.selected_entries() {
            match entry {
                Entry::TagLink(link) => note(&link.target.repository),
                _ => queue.push(place),
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(place) = queue.pop() {
            if !seen.insert(place.clone()) {
                continue;
            }
            note(&place.repository);
            if let Some(Entry::Symlink(link)) = catalog.entry(&place) {
                queue.push(link.target.resolve(&place.repository));
            }
        }
        missing.into_iter().collect()
    }

    fn selected_entries(&self) -> impl Iterator<Item = (FlistRef, &Entry)> {
        self.listed.catalog.entries().filter(|(place, _)| {
            self.selection.repository(&place.repository) && self.selection.name(place.name.as_str())
        })
    }

    /// Fills in the links of the tags that are needed and forgets the other tags.
    async fn list_tags(&mut self, is_last: bool) -> Result<(), UpstreamError> {
        let mut needed: BTreeSet<TagRef> = self
            .listed
            .catalog
            .tags()
            .map(|(place, _)| place)
            .filter(|place| {
                self.selection.repository(&place.repository)
                    && self.selection.name(place.tag.as_str())
            })
            .collect();
        for (_, entry) in self.selected_entries() {
            if let Entry::TagLink(link) = entry {
                needed.extend(Some(link.target.clone()));
            }
        }
        needed.retain(|place| self.listed.catalog.tag(place).is_some());

        let (upstreams, hub, now) = (self.upstreams, self.listed.hub, self.now);
        let mut answers = stream::iter(needed)
            .map(|place| async move {
                let mut refusals = Refusals::default();
                let result = upstreams.tag(hub, &place).await;
                let result = result.and_then(|answer| {
                    answer.parse(|body| parse::tag(body, &place, now, &mut refusals))
                });
                (place, result, refusals)
            })
            .buffer_unordered(upstreams.parallel());
        let mut all = BTreeMap::new();
        while let Some((place, result, refusals)) = answers.next().await {
            all.insert(place, (result, refusals));
        }
        drop(answers);

        let mut found = BTreeMap::new();
        for (place, (result, refusals)) in all {
            self.listed.refusals.merge(refusals);
            match result {
                Ok(links) => found.extend(links.map(|links| (place, links))),
                Err(error) if error.is_outage() && !is_last => return Err(error),
                Err(error) => {
                    let reason = format!("could not be listed: {}", error.chain());
                    let subject = place.to_string();
                    self.listed
                        .refusals
                        .add(Some(place.into()), &subject, reason);
                }
            }
        }
        for (home, repository) in &mut self.listed.catalog.repositories {
            repository.tags.retain(|name, tag| {
                let place = TagRef {
                    repository: home.clone(),
                    tag: name.clone(),
                };
                found
                    .remove(&place)
                    .map(|links| tag.links = links)
                    .is_some()
            });
        }
        Ok(())
    }
}
