//! What a sync remembers of what it did: pure functions.

use super::config::{BlockMode, SyncConfig};
use super::plan::Prepared;
use super::publication::Publication;
use super::publish::Step;
use super::stage::Staged;
use super::state::State;
use crate::catalog::diff::{FlistRecord, Reason};
use crate::catalog::selection::Wanted;
use crate::catalog::{Item, Named, Published};

/// What is to be remembered once all is published.
pub(super) fn next_state(
    prepared: &Prepared,
    staged: &Staged,
    publication: &Publication,
    config: &SyncConfig,
) -> State {
    let mut state = prepared.state.clone();
    let memory = &mut state.memory;
    let catalog = &prepared.wanted.catalog;
    for (place, ready) in &staged.ready {
        let record = FlistRecord {
            md5: ready.acquired.md5,
            listed_size: ready.acquired.listed_size.clone(),
            updated: ready.acquired.updated,
            listed_at: prepared.listed_at,
            checked: prepared.now,
            file_size: ready.size,
            file_md5: ready.md5,
            form: config.flists.form(),
            blocks: config.blocks != BlockMode::None,
        };
        memory.flists.insert(place.clone(), record);
    }
    for change in &prepared.diff.flists {
        // Its listing has not changed, so only this tells the next sync to look at it again.
        if change.reason == Reason::Blocks
            && !staged.ready.contains_key(&change.place)
            && let Some(record) = memory.flists.get_mut(&change.place)
        {
            record.doubt();
        }
    }
    for place in &prepared.confirmed {
        if let Some(record) = memory.flists.get_mut(place) {
            record.checked = prepared.now;
            record.listed_at = prepared.listed_at;
        }
    }
    for step in &publication.steps {
        match step {
            // Something else takes the place of an flist.
            Step::Link { place, .. } | Step::TagLink { place, .. } => {
                memory.flists.remove(place);
            }
            Step::Remove(Item::Entry(place)) => {
                memory.flists.remove(place);
            }
            _ => {}
        }
    }
    let local = &prepared.local.catalog;
    let published = published(prepared, staged, publication);
    memory.flists.retain(|place, _| {
        let item = Item::Entry(place.clone());
        published.get(&item).is_none()
            && (local.entry(place).is_some() || may_be_listed(&prepared.wanted, &item))
    });
    state.published = Some(published);
    let memory = &mut state.memory;
    memory.tombstones = prepared.diff.tombstones.clone();
    for item in &publication.spared {
        let since = prepared.state.memory.tombstones.get(item);
        let since = since.copied().unwrap_or(prepared.now);
        memory.tombstones.insert(item.clone(), since);
    }
    if let Some(official) = &prepared.official {
        state.official = official
            .iter()
            .filter(|name| catalog.repositories.contains_key(*name))
            .cloned()
            .collect();
    }
    state.upstream = Some(prepared.upstreams.name(prepared.hub));
    state
}

/// What will be published but for flists. What is not as it was published and cannot be made so now
/// is remembered as it was: it is missed until it is back, or upstream does not list it either.
fn published(prepared: &Prepared, staged: &Staged, publication: &Publication) -> Published {
    let (local, wanted) = (&prepared.local.catalog, &prepared.wanted.catalog);
    let mut published = match &prepared.state.published {
        Some(published) => published.clone(),
        None => Published::of(local),
    };
    published
        .retain(|item| Named::of(local, item).is_some() || may_be_listed(&prepared.wanted, item));
    for (item, named) in Published::of(wanted).iter() {
        if Named::of(local, item).as_ref() == Some(named) {
            published.set(item.clone(), Some(named.clone()));
        }
    }
    for place in staged.ready.keys() {
        published.set(Item::Entry(place.clone()), None);
    }
    for step in &publication.steps {
        let home = Item::Repository(step.item().repository().clone());
        let named = match step {
            Step::Time(..) => continue,
            Step::Repository(_) => Some(Named::Repository),
            Step::Flist(_) | Step::Remove(_) => None,
            Step::Link { place, link } => Some(Named::Link(link.target.resolve(&place.repository))),
            Step::TagLink { link, .. } => Some(Named::TagLink(link.target.clone())),
            Step::Tag { place, tag } => Some(Named::tag(place, tag)),
        };
        if !matches!(step, Step::Remove(_)) {
            published.set(home, Some(Named::Repository));
        }
        published.set(step.item(), named);
    }
    published
}

/// Whether upstream lists `item`, or may do so where what it lists is refused or could not be read.
fn may_be_listed(wanted: &Wanted, item: &Item) -> bool {
    let refusals = &wanted.refusals;
    Named::of(&wanted.catalog, item).is_some()
        || refusals.kept().contains(item)
        || refusals.unread().contains(item.repository())
}
