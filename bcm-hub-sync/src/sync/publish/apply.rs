//! Does the steps of a publication.

use std::collections::{BTreeMap, BTreeSet};

use bcm_core::names::RepoName;

use super::step::{link_text, tagged_link_text, taglink_text};
use super::{Failure, Point, PublishError, StagedFlist, Step, Watch};
use crate::catalog::{FlistRef, Item, Tag, TagRef};
use crate::folder::{Folder, Kind};
use crate::layout::Layout;

/// Names in the staging folder that no staged flist has.
const NEW_LINK: &str = "publish-link";
const NEW_TAG: &str = "publish-tag";
const OLD_TAG: &str = "publish-old-tag";

/// Does `steps` in their order and makes them durable. Answers with those that could not be done
/// for a reason of their own.
pub(super) fn apply(
    layout: &Layout,
    steps: &[Step],
    watch: Watch<'_>,
) -> Result<Vec<Failure>, PublishError> {
    let hub = Folder::open_existing(&layout.hub())?;
    let mut tree = Tree {
        users: hub.make_child("users")?,
        staging: hub.make_child("staging")?,
        repositories: BTreeMap::new(),
        changed: BTreeSet::new(),
    };
    hub.sync()?;
    let mut failures = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        watch(Point::Step(index))?;
        match tree.step(step) {
            Ok(()) => {}
            Err(error) if error.is_local() => failures.push((step.item(), error)),
            Err(error) => return Err(error),
        }
    }
    for name in [NEW_LINK, NEW_TAG, OLD_TAG] {
        tree.staging.remove_flat(name)?;
    }
    for name in &tree.changed {
        if let Some(folder) = tree.users.child(name.as_str())? {
            folder.sync()?;
        }
    }
    tree.users.sync()?;
    Ok(failures)
}

struct Tree {
    users: Folder,
    staging: Folder,
    /// The repository that was used last is used again most often; all of them at once would be
    /// too many open folders.
    repositories: BTreeMap<RepoName, Folder>,
    changed: BTreeSet<RepoName>,
}

impl Tree {
    fn step(&mut self, step: &Step) -> Result<(), PublishError> {
        match step {
            Step::Repository(name) => self.repository(name).map(|_| ()),
            Step::Flist(flist) => self.flist(flist),
            Step::Link { place, link } => self.link(place, &link_text(&link.target), link.linktime),
            Step::TagLink { place, link } => {
                self.link(place, &taglink_text(&link.target), link.linktime)
            }
            Step::Tag { place, tag } => self.tag(place, tag),
            Step::Remove(item) => self.remove(item),
            Step::Time(item, time) => self.time(item, *time),
        }
    }

    /// The folder of a repository, made where there is none.
    fn repository(&mut self, name: &RepoName) -> Result<&Folder, PublishError> {
        if !self.repositories.contains_key(name) {
            let folder = self.users.make_child(name.as_str())?;
            self.repositories.clear();
            self.repositories.insert(name.clone(), folder);
        }
        self.changed.insert(name.clone());
        Ok(&self.repositories[name])
    }

    fn flist(&mut self, flist: &StagedFlist) -> Result<(), PublishError> {
        self.repository(&flist.place.repository)?;
        let folder = &self.repositories[&flist.place.repository];
        let name = flist.place.name.as_str();
        match self.staging.look(&flist.file)? {
            Some(seen) if seen.kind == Kind::File && seen.size() == flist.size => {
                if seen.modified() != flist.updated {
                    self.staging.set_item_time(&flist.file, flist.updated)?;
                }
                Ok(self.staging.rename(&flist.file, folder, name)?)
            }
            _ => match folder.look(name)? {
                Some(seen)
                    if seen.kind == Kind::File
                        && (seen.size(), seen.modified()) == (flist.size, flist.updated) =>
                {
                    Ok(())
                }
                _ => Err(PublishError::StagedFileGone {
                    path: self.staging.path().join(&flist.file),
                }),
            },
        }
    }

    fn link(&mut self, place: &FlistRef, text: &str, time: i64) -> Result<(), PublishError> {
        self.repository(&place.repository)?;
        let folder = &self.repositories[&place.repository];
        let name = place.name.as_str();
        let seen = folder.look(name)?;
        if let Some(seen) = seen
            && seen.kind == Kind::Link
            && folder.read_link(name)?.is_some_and(|held| held == text)
        {
            return match seen.modified() == time {
                true => Ok(()),
                false => Ok(folder.set_item_time(name, time)?),
            };
        }
        self.staging.remove_flat(NEW_LINK)?;
        self.staging.link(NEW_LINK, text, time)?;
        Ok(self.staging.rename(NEW_LINK, folder, name)?)
    }

    fn tag(&mut self, place: &TagRef, tag: &Tag) -> Result<(), PublishError> {
        self.repository(&place.repository)?;
        let folder = &self.repositories[&place.repository];
        let name = place.tag.folder();
        let seen = folder.look(&name)?;
        match seen.map(|seen| seen.kind) {
            Some(Kind::Folder) => {
                if let Some(held) = folder.child(&name)?
                    && tag_is_as(&held, &place.repository, tag)?
                {
                    return Ok(held.set_time(tag.updated)?);
                }
            }
            None => {}
            Some(_) => {
                return Err(PublishError::InTheWay {
                    path: folder.path().join(&name),
                    found: "not a folder",
                });
            }
        }
        self.staging.remove_flat(NEW_TAG)?;
        let new = self.staging.make_child(NEW_TAG)?;
        for (link_name, link) in &tag.links {
            let text = tagged_link_text(&place.repository, &link.target);
            new.link(link_name.as_str(), &text, link.linktime)?;
        }
        new.sync()?;
        if seen.is_none() {
            self.staging.rename(NEW_TAG, folder, &name)?;
        } else if self.staging.exchange(NEW_TAG, folder, &name)? {
            self.staging.remove_flat(NEW_TAG)?;
        } else {
            self.staging.remove_flat(OLD_TAG)?;
            folder.rename(&name, &self.staging, OLD_TAG)?;
            self.staging.rename(NEW_TAG, folder, &name)?;
            self.staging.remove_flat(OLD_TAG)?;
        }
        Ok(new.set_time(tag.updated)?)
    }

    fn remove(&mut self, item: &Item) -> Result<(), PublishError> {
        let home = item.repository();
        if let Item::Repository(name) = item {
            self.repositories.clear();
            self.changed.remove(name);
            return Ok(self.users.remove_folder(name.as_str())?);
        }
        let Some(folder) = self.users.child(home.as_str())? else {
            return Ok(());
        };
        self.changed.insert(home.clone());
        match item {
            Item::Repository(_) => Ok(()),
            Item::Entry(place) => Ok(folder.remove(place.name.as_str())?),
            Item::Tag(place) => {
                let name = place.tag.folder();
                if folder.look(&name)?.is_none() {
                    return Ok(());
                }
                self.staging.remove_flat(OLD_TAG)?;
                folder.rename(&name, &self.staging, OLD_TAG)?;
                Ok(self.staging.remove_flat(OLD_TAG)?)
            }
        }
    }

    fn time(&mut self, item: &Item, time: i64) -> Result<(), PublishError> {
        let Some(repository) = self.users.child(item.repository().as_str())? else {
            return Ok(());
        };
        match item {
            Item::Tag(place) => match repository.child(place.tag.folder())? {
                Some(tag) => Ok(tag.set_time(time)?),
                None => Ok(()),
            },
            _ => Ok(repository.set_time(time)?),
        }
    }
}

/// Whether the folder `held` has exactly the links of `tag`.
fn tag_is_as(held: &Folder, home: &RepoName, tag: &Tag) -> Result<bool, PublishError> {
    if held.names()?.len() != tag.links.len() {
        return Ok(false);
    }
    for (name, link) in &tag.links {
        let text = tagged_link_text(home, &link.target);
        let same_text = held
            .read_link(name.as_str())?
            .is_some_and(|held| held == *text);
        let seen = held.look(name.as_str())?;
        if !same_text || seen.is_none_or(|seen| seen.modified() != link.linktime) {
            return Ok(false);
        }
    }
    Ok(true)
}
