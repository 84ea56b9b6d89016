//! Links, tags, other names, and none any more.

use bcm_core::names::EntryName;

use super::flists::own_record;
use super::session::Session;
use super::{PublishingError, SUFFIX};
use crate::catalog::selection::MAX_CHAIN;
use crate::catalog::{
    Entry, FlistRef, Item, LinkTarget, RegularFile, Symlink, Tag, TagLink, TagRef,
};
use crate::folder::Folder;
use crate::sync::publish::{StagedFlist, Step};
use crate::sync::restoring::StagedName;

type Result<T> = std::result::Result<T, PublishingError>;

/// Where a link in the repository of `place` leads, as hubs write it.
fn target(place: &FlistRef, to: &FlistRef) -> LinkTarget {
    LinkTarget {
        repository: (to.repository != place.repository).then(|| to.repository.clone()),
        name: to.name.clone(),
    }
}

impl Session {
    /// Makes the link `place` to the flist `to`, of this or of another repository. A link that is there is
    /// turned with `replace`; an flist is never replaced by a link. Answers with whether one was there.
    ///
    /// # Errors
    /// There is no such flist, the name is taken, or the link would lead to itself.
    pub fn link(&mut self, place: &FlistRef, to: &FlistRef, replace: bool) -> Result<bool> {
        self.follow(to)?;
        let turned = self.may_link(place, replace)?;
        self.check_circle(place, to)?;
        let link = Symlink {
            target: target(place, to),
            linktime: self.now,
        };
        let place = place.clone();
        self.commit(vec![Step::Link { place, link }], Vec::new())?;
        Ok(turned)
    }

    /// Makes the link `place` to the tag `to`. Its name must not be that of an flist.
    ///
    /// # Errors
    /// There is no such tag, or the name is taken or ends as flists' names do.
    pub fn link_to_tag(&mut self, place: &FlistRef, to: &TagRef, replace: bool) -> Result<bool> {
        if self.catalog().tag(to).is_none() {
            return Err(PublishingError::NotFound(to.clone().into()));
        }
        if place.name.as_str().ends_with(SUFFIX) {
            return Err(PublishingError::Name {
                name: place.name.to_string(),
                why: "only flists and links to them end in .flist",
            });
        }
        let turned = self.may_link(place, replace)?;
        let link = TagLink {
            target: to.clone(),
            linktime: self.now,
        };
        let place = place.clone();
        self.commit(vec![Step::TagLink { place, link }], Vec::new())?;
        Ok(turned)
    }

    /// Puts the link `name` to the flist `to` into the tag `place`, which is made where there is none.
    /// Answers with whether a link of that name was there.
    ///
    /// # Errors
    /// There is no such flist, or the link is there and `replace` is not said.
    pub fn tag(
        &mut self,
        place: &TagRef,
        name: &EntryName,
        to: &FlistRef,
        replace: bool,
    ) -> Result<bool> {
        self.follow(to)?;
        self.may_take(&Item::Tag(place.clone()), true)?;
        let mut tag = self.catalog().tag(place).cloned().unwrap_or_default();
        let held = tag.links.contains_key(name);
        if held && !replace {
            return Err(PublishingError::Exists {
                item: place.clone().into(),
                found: "with a link of that name",
            });
        }
        let link = Symlink {
            // A tag's links always name their repository.
            target: LinkTarget {
                repository: Some(to.repository.clone()),
                name: to.name.clone(),
            },
            linktime: self.now,
        };
        tag.links.insert(name.clone(), link);
        tag.updated = self.now;
        let place = place.clone();
        self.commit(vec![Step::Tag { place, tag }], Vec::new())?;
        Ok(held)
    }

    /// Takes the link `name` out of the tag `place`. A tag without links goes with its last one; answers
    /// with whether it did.
    ///
    /// # Errors
    /// There is no such tag or link; links lead to a tag that would go, and `dangling` is not said.
    pub fn untag(&mut self, place: &TagRef, name: &EntryName, dangling: bool) -> Result<bool> {
        let item = Item::Tag(place.clone());
        let Some(held) = self.catalog().tag(place) else {
            return Err(PublishingError::NotFound(item));
        };
        let mut tag: Tag = held.clone();
        if tag.links.remove(name).is_none() {
            return Err(PublishingError::Name {
                name: name.to_string(),
                why: "the tag has no link of that name",
            });
        }
        let goes = tag.links.is_empty();
        if goes && !dangling {
            self.check_unneeded(&item)?;
        }
        tag.updated = self.now;
        let place = place.clone();
        let step = match goes {
            true => Step::Remove(item),
            false => Step::Tag { place, tag },
        };
        self.commit(vec![step], Vec::new())?;
        Ok(goes)
    }

    /// Gives the entry `place` the name `to` in its repository. Answers with whether something had that
    /// name before.
    ///
    /// # Errors
    /// There is no such entry; the name is taken and `replace` is not said; links lead to it and
    /// `dangling` is not said.
    pub fn rename(
        &mut self,
        place: &FlistRef,
        to: &EntryName,
        replace: bool,
        dangling: bool,
    ) -> Result<bool> {
        let item = Item::Entry(place.clone());
        let Some(entry) = self.catalog().entry(place).cloned() else {
            return Err(PublishingError::NotFound(item));
        };
        let new = FlistRef {
            repository: place.repository.clone(),
            name: to.clone(),
        };
        if new == *place {
            return Ok(false);
        }
        let ends = to.as_str().ends_with(SUFFIX);
        if ends == matches!(entry, Entry::TagLink(_)) {
            return Err(PublishingError::Name {
                name: to.to_string(),
                why: "flists and links to them end in .flist, and links to tags do not",
            });
        }
        let replaced = self.may_take(&Item::Entry(new.clone()), replace)?;
        if !dangling {
            self.check_unneeded(&item)?;
        }
        let mut records = Vec::new();
        let step = match entry {
            Entry::Regular(file) => {
                let (step, record) = self.second_name(place, &new, &file)?;
                records.push((new, record));
                step
            }
            Entry::Symlink(link) => {
                self.check_circle(&new, &link.target.resolve(&place.repository))?;
                Step::Link { place: new, link }
            }
            Entry::TagLink(link) => Step::TagLink { place: new, link },
        };
        self.commit(vec![step, Step::Remove(item)], records)?;
        Ok(replaced)
    }

    /// Removes an entry, a tag, or a repository that is empty. Blocks stay until the next collection of
    /// garbage.
    ///
    /// # Errors
    /// There is no such thing; a repository is not empty; links lead to it and `dangling` is not said.
    pub fn remove(&mut self, item: &Item, dangling: bool) -> Result<()> {
        if self.found(item).is_none() {
            return Err(PublishingError::NotFound(item.clone()));
        }
        if let Item::Repository(name) = item {
            let held = self.catalog().repositories.get(name);
            let count = held.map_or(0, |held| held.entries.len() + held.tags.len());
            if count > 0 {
                return Err(PublishingError::NotEmpty {
                    repository: name.to_string(),
                    count,
                });
            }
        } else if !dangling {
            self.check_unneeded(item)?;
        }
        self.commit(vec![Step::Remove(item.clone())], Vec::new())
    }

    /// Whether there may be a link at `place`; answers with whether there is one already.
    fn may_link(&self, place: &FlistRef, replace: bool) -> Result<bool> {
        let item = Item::Entry(place.clone());
        if let Some(Entry::Regular(_)) = self.catalog().entry(place) {
            return Err(PublishingError::Exists {
                item,
                found: "an flist, which is not replaced by a link",
            });
        }
        self.may_take(&item, replace)
    }

    /// Refuses a link that would lead to itself.
    fn check_circle(&self, place: &FlistRef, to: &FlistRef) -> Result<()> {
        let mut at = to.clone();
        for _ in 0..=MAX_CHAIN {
            if at == *place {
                break;
            }
            match self.catalog().entry(&at) {
                Some(Entry::Symlink(link)) => at = link.target.resolve(&at.repository),
                _ => return Ok(()),
            }
        }
        Err(PublishingError::Name {
            name: place.to_string(),
            why: "the link would lead to itself",
        })
    }

    /// Stages the published flist `place` once more, to be published as `new`.
    fn second_name(
        &self,
        place: &FlistRef,
        new: &FlistRef,
        file: &RegularFile,
    ) -> Result<(Step, crate::catalog::diff::FlistRecord)> {
        let md5 = self.md5_of(place)?;
        let size = file.size.unwrap_or(0);
        let name = StagedName::of(new).whole(&md5);
        if !self.dry_run {
            let users = Folder::open_existing(&self.layout.users())?;
            let staging = Folder::open_existing(&self.layout.staging())?;
            let home = users.child(place.repository.as_str())?;
            let home = home.ok_or_else(|| PublishingError::NotFound(place.clone().into()))?;
            if !home.hard_link(place.name.as_str(), &staging, &name)? {
                // A file system without hard links.
                let (from, to) = (self.path_of(place), self.layout.staging().join(&name));
                std::fs::copy(&from, &to)
                    .and_then(|_| std::fs::File::open(&to)?.sync_all())
                    .map_err(PublishingError::io("copy to", &to))?;
            }
        }
        let step = Step::Flist(StagedFlist {
            place: new.clone(),
            file: name,
            size,
            updated: file.updated,
        });
        Ok((step, own_record(md5, size, file.updated, self.now)))
    }
}
