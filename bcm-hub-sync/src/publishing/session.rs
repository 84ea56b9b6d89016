//! A time in which nobody else writes, and what ends in a publication in it.

use std::collections::BTreeSet;

use bcm_core::atomic_file;
use bcm_core::digest::Md5;
use bcm_core::lock::FolderLock;
use bcm_core::names::RepoName;

use super::{PublishingError, RESERVED, flist_name};
use crate::catalog::diff::FlistRecord;
use crate::catalog::local::{self, LocalScan, open_flist};
use crate::catalog::selection::MAX_CHAIN;
use crate::catalog::{Catalog, Entry, FlistRef, Item, Named, Published as Names};
use crate::flist::Limits;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::snapshots;
use crate::sync::now;
use crate::sync::publish::{self, Rolled, Step};
use crate::sync::restoring::{clean_staging, open_staging};
use crate::sync::state::State;

type Result<T> = std::result::Result<T, PublishingError>;

/// The data folder of a hub that stands alone, locked. Dropping it gives the lock back.
#[derive(Debug)]
pub struct Session {
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    pub(super) now: i64,
    pub(super) dry_run: bool,
    state: State,
    scan: LocalScan,
    _lock: FolderLock,
}

/// Whether an operator may publish in the data folder of `layout`.
fn check_mode(layout: &Layout) -> Result<()> {
    match Mode::of(layout)?.is_writable() {
        true => Ok(()),
        false => Err(PublishingError::Mirror {
            path: layout.root().to_owned(),
        }),
    }
}

impl Session {
    /// Locks the data folder of `layout`, and finishes what was being published when somebody was killed.
    /// Flists are read within `limits`. With `dry_run`, everything is checked and nothing is published.
    /// Blocks the thread.
    ///
    /// # Errors
    /// It is a mirror, somebody else writes, or the tree cannot be read.
    pub fn open(layout: &Layout, limits: Limits, dry_run: bool) -> Result<Self> {
        // Before the lock: a mirror's folder is not even touched.
        check_mode(layout)?;
        let _lock = FolderLock::acquire(&layout.lock())?;
        check_mode(layout)?;
        open_staging(layout)?;
        if let Rolled::Damaged(why) = publish::roll_forward(layout, &mut |_| Ok(()))? {
            let path = layout.publish_journal();
            return Err(PublishingError::Journal { path, why });
        }
        clean_staging(layout, &BTreeSet::new())?;
        open_staging(layout)?;
        let loaded = State::load(&layout.state())?;
        let scan = local::scan(layout)?;
        let mut state = loaded.state;
        if loaded.damaged.is_some() {
            // Nobody knows any more what is whose, so all of it is the operator's.
            let entries = scan.catalog.entries().map(|(place, _)| place.into());
            let tags = scan.catalog.tags().map(|(place, _)| place.into());
            state.own = entries.chain(tags).collect();
        }
        Ok(Self {
            layout: layout.clone(),
            limits,
            now: now(),
            dry_run,
            state,
            scan,
            _lock,
        })
    }

    /// What is published now.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.scan.catalog
    }

    /// The entry `place`, or the flist that is meant where its suffix is missing.
    #[must_use]
    pub fn meant(&self, place: &FlistRef) -> FlistRef {
        let with_suffix = || {
            let name = flist_name(place.name.as_str()).ok()?;
            let repository = place.repository.clone();
            let place = FlistRef { repository, name };
            self.catalog().entry(&place).map(|_| place)
        };
        match self.catalog().entry(place) {
            Some(_) => place.clone(),
            None => with_suffix().unwrap_or_else(|| place.clone()),
        }
    }

    /// What is published as `item`, in words.
    pub(super) fn found(&self, item: &Item) -> Option<&'static str> {
        Some(match Named::of(self.catalog(), item)? {
            Named::Repository => "a repository",
            Named::Flist => "an flist",
            Named::Link(_) => "a link",
            Named::TagLink(_) => "a link to a tag",
            Named::Tag(_) => "a tag",
        })
    }

    /// Whether something may be published as `item`; answers with whether something is there already.
    pub(super) fn may_take(&self, item: &Item, replace: bool) -> Result<bool> {
        let repository = item.repository();
        if RESERVED.contains(&repository.as_str()) {
            return Err(PublishingError::Name {
                name: repository.to_string(),
                why: "a repository of that name would stand behind a path of the server's own",
            });
        }
        match self.found(item) {
            Some(found) if !replace => Err(PublishingError::Exists {
                item: item.clone(),
                found,
            }),
            found => Ok(found.is_some()),
        }
    }

    /// The flist at the end of the links that begin at `place`.
    pub(super) fn follow(&self, place: &FlistRef) -> Result<FlistRef> {
        let mut at = place.clone();
        for _ in 0..=MAX_CHAIN {
            match self.catalog().entry(&at) {
                Some(Entry::Regular(_)) => return Ok(at),
                Some(Entry::Symlink(link)) => at = link.target.resolve(&at.repository),
                Some(Entry::TagLink(_)) => {
                    return Err(PublishingError::WrongKind {
                        item: at.into(),
                        found: "a link to a tag",
                        needed: "an flist",
                    });
                }
                None if at == *place => return Err(PublishingError::NotFound(at.into())),
                None => break,
            }
        }
        Err(PublishingError::Dangling(place.clone()))
    }

    /// Refuses to let go of `item` while a link leads to it.
    pub(super) fn check_unneeded(&self, item: &Item) -> Result<()> {
        let catalog = self.catalog();
        let mut needing: Vec<String> = Vec::new();
        for (place, entry) in catalog.entries() {
            let target: Item = match entry {
                Entry::Regular(_) => continue,
                Entry::Symlink(link) => link.target.resolve(&place.repository).into(),
                Entry::TagLink(link) => link.target.clone().into(),
            };
            if target == *item {
                needing.push(place.to_string());
            }
        }
        for (place, tag) in catalog.tags() {
            for (name, link) in &tag.links {
                if Item::Entry(link.target.resolve(&place.repository)) == *item {
                    needing.push(format!("{place}/{name}"));
                }
            }
        }
        match needing.first() {
            None => Ok(()),
            Some(first) => Err(PublishingError::Needed {
                item: item.clone(),
                count: needing.len(),
                first: first.clone(),
            }),
        }
    }

    /// The MD5 of the published flist `place`.
    pub(super) fn md5_of(&self, place: &FlistRef) -> Result<Md5> {
        let users = self.layout.users();
        let path = users.join(&place.repository).join(&place.name);
        open_flist(&users, &place.repository, &place.name)
            .and_then(|(file, _)| Md5::of_reader(file))
            .map_err(PublishingError::io("read", &path))
    }

    /// What is remembered of the published flist `place`.
    pub(super) fn record(&self, place: &FlistRef) -> Option<&FlistRecord> {
        self.state.memory.flists.get(place)
    }

    /// Publishes `steps`, and remembers `flists`. Nothing happens in a dry run.
    pub(super) fn commit(
        &mut self,
        steps: Vec<Step>,
        flists: Vec<(FlistRef, FlistRecord)>,
    ) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        let mut replaced = Vec::new();
        for step in &steps {
            if let Item::Entry(place) = step.item()
                && !matches!(step, Step::Time(..))
                && let Some(Entry::Regular(_)) = self.catalog().entry(&place)
            {
                let known = self.record(&place).map(|record| record.file_md5);
                let md5 = known.map_or_else(|| self.md5_of(&place), Ok)?;
                replaced.push((place, md5));
            }
        }
        snapshots::keep_replaced(&self.layout, &replaced)?;
        let steps = self.with_homes(steps);
        let mut state = self.state.clone();
        remember(&mut state, &steps, flists, self.catalog());
        atomic_file::sync_dir(&self.layout.staging())?;
        let published = publish::publish(&self.layout, steps, state, &mut |_| Ok(()));
        let (state, failures) = published?;
        self.state = state;
        self.scan = local::scan(&self.layout)?;
        match failures.into_iter().next() {
            None => Ok(()),
            Some((_, error)) => Err(error.into()),
        }
    }

    /// `steps` between those that make repositories and those that set their times.
    fn with_homes(&self, steps: Vec<Step>) -> Vec<Step> {
        let gone: BTreeSet<RepoName> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Remove(Item::Repository(name)) => Some(name.clone()),
                _ => None,
            })
            .collect();
        let homes: BTreeSet<RepoName> = steps
            .iter()
            .map(|step| step.item().repository().clone())
            .filter(|home| !gone.contains(home))
            .collect();
        let known = &self.catalog().repositories;
        let new = homes.iter().filter(|home| !known.contains_key(*home));
        let mut all: Vec<Step> = new.cloned().map(Step::Repository).collect();
        all.extend(steps);
        let times = homes.into_iter().map(Item::Repository);
        all.extend(times.map(|home| Step::Time(home, self.now)));
        all
    }
}

impl Drop for Session {
    /// Removes what was staged and refused, while nobody else writes. What was interrupted stays, for
    /// whoever comes next to finish.
    fn drop(&mut self) {
        if !self.layout.publish_journal().exists() {
            // Otherwise the next one does.
            let _ = clean_staging(&self.layout, &BTreeSet::new());
        }
    }
}

/// What is remembered once `steps` are done.
fn remember(
    state: &mut State,
    steps: &[Step],
    flists: Vec<(FlistRef, FlistRecord)>,
    catalog: &Catalog,
) {
    let mut names = state.published.take().unwrap_or_else(|| Names::of(catalog));
    for step in steps {
        let named = match step {
            Step::Time(..) => continue,
            Step::Repository(_) => Some(Named::Repository),
            Step::Flist(_) | Step::Remove(_) => None,
            Step::Link { place, link } => Some(Named::Link(link.target.resolve(&place.repository))),
            Step::TagLink { link, .. } => Some(Named::TagLink(link.target.clone())),
            Step::Tag { place, tag } => Some(Named::tag(place, tag)),
        };
        let item = step.item();
        if let Item::Entry(place) = &item {
            state.memory.flists.remove(place);
        }
        names.set(item.clone(), named);
        state.own.insert(item);
    }
    state.published = Some(names);
    state.memory.flists.extend(flists);
    state.changes += 1;
}
