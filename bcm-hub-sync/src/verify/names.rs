//! Compares what is published under each name with what was published there last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bcm_core::names::EntryName;

use super::VerifyError;
use super::blocks::blocking;
use crate::catalog::local::{self, LocalScan};
use crate::catalog::{FlistRef, Item, Named};
use crate::layout::Layout;
use crate::sync::publish::pending;
use crate::sync::state::State;

/// The pause before what differs is looked at again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many links of one tag are named.
const LINKS: usize = 5;

/// A name that does not stand for what was published under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Whether an flist was published under it.
    pub(super) is_flist: bool,
    /// Whether there is nothing of that name in the catalogue.
    pub(super) is_gone: bool,
    /// What is wrong with it.
    pub(super) reason: String,
}

/// The names that do not stand for what was published under them.
pub(super) async fn wrong(layout: &Layout) -> Result<BTreeMap<Item, Wrong>, VerifyError> {
    let mut wrong = look(layout).await?;
    if !wrong.is_empty() {
        // A name may have been absent for the moment in which it was replaced.
        tokio::time::sleep(PAUSE).await;
        let again = look(layout).await?;
        wrong.retain(|item, _| again.contains_key(item));
    }
    Ok(wrong)
}

/// What differs from all that is remembered before and after the tree is read: a sync may publish
/// meanwhile, or may have been killed while it did.
async fn look(layout: &Layout) -> Result<BTreeMap<Item, Wrong>, VerifyError> {
    let layout = layout.clone();
    blocking(move || {
        let mut known = known(&layout)?;
        let scan = local::scan(&layout)?;
        let users = layout.users();
        known.extend(self::known(&layout)?);
        let mut known = known.iter().map(|state| differing(state, &scan, &users));
        let mut wrong = known.next().unwrap_or_default();
        for other in known {
            wrong = other
                .into_iter()
                .filter(|(item, _)| wrong.contains_key(item))
                .collect();
        }
        Ok(wrong)
    })
    .await?
}

/// What is remembered, and what will be once the publication is done that is under way. That one is
/// read first: when it is over already, the state is the one after it.
fn known(layout: &Layout) -> Result<Vec<State>, VerifyError> {
    let pending = pending(layout);
    let state = State::load(&layout.state())?.state;
    Ok(pending.into_iter().chain([state]).collect())
}

/// How the tree differs from what `state` remembers.
fn differing(state: &State, scan: &LocalScan, users: &Path) -> BTreeMap<Item, Wrong> {
    let flists = state.memory.flists.keys().cloned();
    let flists = flists.map(|place| (Item::Entry(place), &Named::Flist));
    let others = state.published.iter().flat_map(|others| others.iter());
    let mut expected: BTreeMap<Item, &Named> =
        others.map(|(item, named)| (item.clone(), named)).collect();
    expected.extend(flists);
    let mut wrong = BTreeMap::new();
    for (item, named) in expected {
        let found = Named::of(&scan.catalog, &item);
        if found.as_ref() == Some(named) {
            continue;
        }
        let reason = match (named, &found) {
            (Named::Tag(published), Some(Named::Tag(links))) => links_differ(published, links),
            (Named::Link(target), Some(Named::Link(other))) => turned(other, target),
            (Named::TagLink(target), Some(Named::TagLink(other))) => turned(other, target),
            (_, Some(other)) => format!("{named} was published, and {other} is in its place"),
            (_, None) => match odd(scan, &path_of(users, &item)) {
                Some(odd) => format!("{named} was published, and what is in its place {odd}"),
                None => "it was published and is gone".to_owned(),
            },
        };
        let one = Wrong {
            is_flist: *named == Named::Flist,
            is_gone: found.is_none(),
            reason,
        };
        wrong.insert(item, one);
    }
    wrong
}

fn turned(now: impl std::fmt::Display, then: impl std::fmt::Display) -> String {
    format!("it leads to {now}, and led to {then} when it was published")
}

/// How the links of a tag differ.
fn links_differ(
    published: &BTreeMap<EntryName, FlistRef>,
    links: &BTreeMap<EntryName, FlistRef>,
) -> String {
    let mut all: Vec<String> = Vec::new();
    for (name, target) in published {
        match links.get(name) {
            Some(found) if found == target => {}
            Some(found) => all.push(format!(
                "its link {name} leads to {found}, and led to {target} when it was published"
            )),
            None => all.push(format!("its link {name} to {target} is gone")),
        }
    }
    let added = links.keys().filter(|name| !published.contains_key(*name));
    all.extend(added.map(|name| format!("its link {name} was not published")));
    let more = all.len().saturating_sub(LINKS);
    all.truncate(LINKS);
    let mut text = all.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// Why what is at `path` is not part of the catalogue.
fn odd<'a>(scan: &'a LocalScan, path: &Path) -> Option<&'a str> {
    let odd = scan.odd.iter().find(|odd| odd.path == path)?;
    Some(&odd.reason)
}

fn path_of(users: &Path, item: &Item) -> PathBuf {
    let home = users.join(item.repository());
    match item {
        Item::Repository(_) => home,
        Item::Entry(place) => home.join(&place.name),
        Item::Tag(place) => home.join(place.tag.folder()),
    }
}
