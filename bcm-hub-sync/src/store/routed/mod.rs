//! Several stores as one: each keeps a range of keys, and ranges that overlap are replicas.
//!
//! Reads ask the stores that have the key's range, one after the other, until one gives the block;
//! one that failed is asked last for a while. Writes go to all of them. When a replica cannot be
//! written to, the others take the block, and [`BlockStore::warnings`] says what is missing there
//! until a verification mends it: [`BlockStore::members`] shows every copy, and
//! [`BlockStore::mend`] makes bad ones from good ones.
//!
//! There is no order of insertion over several stores: a scan goes through one after the other and
//! shows each block once. It is complete, but a cursor that was kept does not find what came
//! later into a store that the scan had passed.

mod member;
mod mend;
mod route;
mod scan;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::zdb::{ZdbStore, ZdbStoreOptions};
use super::{
    BlockInfo, BlockStore, Cursor, Direction, Mended, StoreError, StoreStats, VerifiedBlock,
};
use crate::block::BlockKey;

use self::member::Member;
pub use self::route::{InvalidRoute, KeyRange, Route};

/// The most stores that one can be made of: a cursor has a byte for the store's number.
pub const MAX_MEMBERS: usize = 255;

/// Routes that do not make a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoutedError {
    /// Nobody keeps some keys.
    #[error("no route keeps the keys that begin with {0}")]
    Gap(KeyRange),
    /// There are more than [`MAX_MEMBERS`].
    #[error("{0} routes are more than {MAX_MEMBERS}")]
    TooMany(usize),
    /// The same store twice.
    #[error("{0} is named twice")]
    Twice(String),
}

/// Several stores as one. See the [module](self).
pub struct RoutedStore {
    members: Vec<Member>,
}

impl RoutedStore {
    /// The 0-dbs of `routes` as one store. Does not connect yet.
    ///
    /// # Errors
    /// Some keys have no route, or a 0-db has two.
    pub fn new(routes: Vec<Route>, options: &ZdbStoreOptions) -> Result<Self, StoreError> {
        let mut members: Vec<(KeyRange, String, Arc<dyn BlockStore>)> = Vec::new();
        for route in routes {
            let name = route.address.to_string();
            let store = ZdbStore::new(route.address, options.clone())?;
            members.push((route.range, name, Arc::new(store)));
        }
        Ok(Self::of(members)?)
    }

    /// Whether `routes` make a store.
    ///
    /// # Errors
    /// As [`RoutedStore::new`].
    pub fn check(routes: &[Route]) -> Result<(), RoutedError> {
        let one = |route: &Route| (route.range, route.address.to_string());
        fit(&routes.iter().map(one).collect::<Vec<_>>())
    }

    /// Any stores as one: for each the keys that it keeps and its name.
    ///
    /// # Errors
    /// As [`RoutedStore::new`].
    pub fn of(stores: Vec<(KeyRange, String, Arc<dyn BlockStore>)>) -> Result<Self, RoutedError> {
        let named = stores.iter().map(|(range, name, _)| (*range, name.clone()));
        fit(&named.collect::<Vec<_>>())?;
        let ranges: Vec<KeyRange> = stores.iter().map(|(range, ..)| *range).collect();
        let has_replicas = |number: usize| {
            let own = ranges[number];
            let others = ranges.iter().enumerate().filter(|(at, _)| *at != number);
            let mut all: Vec<KeyRange> = others.map(|(_, range)| *range).collect();
            // What is outside of its own range does not matter.
            all.extend(own.outside());
            route::gap(&all).is_none()
        };
        let member =
            |(number, (range, name, store))| Member::new(range, name, store, has_replicas(number));
        Ok(Self {
            members: stores.into_iter().enumerate().map(member).collect(),
        })
    }

    /// The members that keep `key`: those that work first, each group in the order of the routes.
    fn candidates(&self, key: &BlockKey) -> Vec<&Member> {
        let mut all: Vec<&Member> = self.keepers(key).collect();
        all.sort_by_key(|member| member.rests());
        all
    }

    fn keepers(&self, key: &BlockKey) -> impl Iterator<Item = &Member> {
        let key = *key;
        self.members
            .iter()
            .filter(move |member| member.range.contains(&key))
    }

    /// Asks one after the other until one finds something. What fails counts only when nobody
    /// finds anything: then the block may well be where it failed.
    fn first<T>(
        &self,
        key: &BlockKey,
        ask: impl Fn(&dyn BlockStore) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut failed = None;
        for member in self.candidates(key) {
            match member.quick(|store| ask(store)) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// For every member that keeps any of `keys`: the positions of those that it keeps.
    fn spread<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a BlockKey> + Clone,
    ) -> Vec<(&'a Member, Vec<usize>)> {
        let of = |member: &'a Member| {
            let kept = keys.clone().enumerate();
            let kept = kept.filter(|(_, key)| member.range.contains(key));
            (member, kept.map(|(at, _)| at).collect::<Vec<_>>())
        };
        let all = self.members.iter().map(of);
        all.filter(|(_, kept)| !kept.is_empty()).collect()
    }

    /// Lets every member that keeps any of `keys` do `work` with them, all at the same time. The
    /// answer of each, with the positions of its keys.
    fn everywhere<'a, T: Send>(
        &'a self,
        keys: impl Iterator<Item = &'a BlockKey> + Clone,
        work: impl Fn(&dyn BlockStore, &[usize]) -> Result<T, StoreError> + Sync,
    ) -> Vec<(&'a Member, Vec<usize>, Result<T, StoreError>)> {
        let spread = self.spread(keys);
        let work = &work;
        std::thread::scope(|scope| {
            let running: Vec<_> = spread
                .into_iter()
                .map(|(member, kept)| {
                    scope.spawn(move || {
                        let answer = member.quick(|store| work(store, &kept));
                        (member, kept, answer)
                    })
                })
                .collect();
            let answers = running.into_iter().map(|thread| match thread.join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            answers.collect()
        })
    }
}

/// Whether stores with these ranges and names make one.
fn fit(members: &[(KeyRange, String)]) -> Result<(), RoutedError> {
    if members.len() > MAX_MEMBERS {
        return Err(RoutedError::TooMany(members.len()));
    }
    let mut names = HashSet::new();
    if let Some((_, name)) = members.iter().find(|(_, name)| !names.insert(name)) {
        return Err(RoutedError::Twice(name.clone()));
    }
    let ranges: Vec<KeyRange> = members.iter().map(|(range, _)| *range).collect();
    route::gap(&ranges).map_or(Ok(()), |gap| Err(RoutedError::Gap(gap)))
}

impl BlockStore for RoutedStore {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        self.first(key, |store| store.get(key))
            .map(|found| found.map(|(info, payload)| (self.placed(info), payload)))
    }

    fn read(&self, blocks: &[BlockInfo]) -> Vec<Result<Option<Bytes>, StoreError>> {
        let mut answers: Vec<Option<Result<Option<Bytes>, StoreError>>> =
            blocks.iter().map(|_| None).collect();
        // Together from the first that works…
        for member in &self.members {
            let open = |at: &usize| {
                answers[*at].is_none()
                    && self
                        .candidates(&blocks[*at].key)
                        .first()
                        .is_some_and(|first| std::ptr::eq(*first, member))
            };
            let wanted: Vec<usize> = (0..blocks.len()).filter(open).collect();
            let asked: Vec<BlockInfo> = wanted.iter().map(|at| blocks[*at].clone()).collect();
            if asked.is_empty() {
                continue;
            }
            for (at, answer) in wanted.into_iter().zip(member.store.read(&asked)) {
                let is_good =
                    matches!(&answer, Ok(Some(payload)) if blocks[at].key.verifies(payload));
                if is_good {
                    answers[at] = Some(answer);
                }
            }
        }
        // …and one by one from the others what that one does not give.
        let one = |(block, answer): (&BlockInfo, Option<_>)| {
            answer.unwrap_or_else(|| {
                let found = self.first(&block.key, |store| store.get(&block.key))?;
                Ok(found.map(|(_, payload)| payload))
            })
        };
        blocks.iter().zip(answers).map(one).collect()
    }

    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        let found = self.first(key, |store| store.info(key))?;
        Ok(found.map(|info| self.placed(info)))
    }

    /// A block is here when any of its replicas has it.
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        let mut held = vec![false; keys.len()];
        let mut answered = vec![false; keys.len()];
        let mut failed = None;
        let ask = |store: &dyn BlockStore, kept: &[usize]| {
            store.contains(&kept.iter().map(|at| keys[*at]).collect::<Vec<_>>())
        };
        for (_, kept, answer) in self.everywhere(keys.iter(), ask) {
            match answer {
                Ok(found) => {
                    for (at, found) in kept.into_iter().zip(found) {
                        held[at] |= found;
                        answered[at] = true;
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if answered.contains(&false) => Err(error),
            _ => Ok(held),
        }
    }

    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        let keys: Vec<BlockKey> = blocks.iter().map(|block| *block.key()).collect();
        let held = self.contains(&keys)?;
        let mut new: HashSet<&BlockKey> = HashSet::new();
        new.extend(
            keys.iter()
                .zip(held)
                .filter(|(_, held)| !held)
                .map(|(key, _)| key),
        );
        let put = |store: &dyn BlockStore, kept: &[usize]| {
            store.put(
                &kept
                    .iter()
                    .map(|at| blocks[*at].clone())
                    .collect::<Vec<_>>(),
            )
        };
        let mut stored = vec![false; blocks.len()];
        let mut failed = Vec::new();
        for (member, kept, answer) in self.everywhere(keys.iter(), put) {
            match answer {
                Ok(_) => kept.into_iter().for_each(|at| stored[at] = true),
                Err(error) => failed.push((member, kept, error)),
            }
        }
        if stored.contains(&false)
            && let Some((.., error)) = failed.pop()
        {
            return Err(error);
        }
        for (member, kept, error) in failed {
            member.missed(kept.len() as u64, &error);
        }
        Ok(new.len() as u64)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut failed = None;
        let mut durable: Vec<KeyRange> = Vec::new();
        for member in &self.members {
            match member.quick(|store| store.flush()) {
                Ok(()) => durable.push(member.range),
                Err(error) => {
                    member.missed(0, &error);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if route::gap(&durable).is_some() => Err(error),
            _ => Ok(()),
        }
    }

    /// From every replica; one that cannot be asked makes it fail, for the block would come back
    /// with it.
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        let held = self.contains(keys)?;
        let mut there: HashSet<&BlockKey> = HashSet::new();
        there.extend(
            keys.iter()
                .zip(held)
                .filter(|(_, held)| *held)
                .map(|(key, _)| key),
        );
        let remove = |store: &dyn BlockStore, kept: &[usize]| {
            store.remove(&kept.iter().map(|at| keys[*at]).collect::<Vec<_>>())
        };
        for (_, _, answer) in self.everywhere(keys.iter(), remove) {
            answer?;
        }
        Ok(there.len() as u64)
    }

    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        self.scan_members(after, direction, limit)
    }

    /// Of all members: replicas do not excuse each other's damage. One that cannot be asked is no
    /// damage.
    fn audit(&self) -> Result<(), StoreError> {
        for member in &self.members {
            match member.store.audit() {
                Err(error) if error.is_damage() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sums over the ranges; of replicas with the same range, the fullest counts. Stores that
    /// cannot be asked are left out as long as a replica can.
    fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut by_range: Vec<(KeyRange, Result<StoreStats, StoreError>)> = Vec::new();
        for member in &self.members {
            let stats = member.quick(|store| store.stats());
            match by_range
                .iter_mut()
                .find(|(range, _)| *range == member.range)
            {
                None => by_range.push((member.range, stats)),
                Some((_, known)) => match (&*known, &stats) {
                    (Ok(known), Ok(stats)) if known.blocks >= stats.blocks => {}
                    (Ok(_), Err(_)) => {}
                    _ => *known = stats,
                },
            }
        }
        let mut sum = StoreStats::default();
        let mut known = Vec::new();
        let mut failed = None;
        for (range, stats) in by_range {
            match stats {
                Ok(stats) => {
                    sum.blocks += stats.blocks;
                    sum.payload_bytes += stats.payload_bytes;
                    sum.disk_bytes += stats.disk_bytes;
                    known.push(range);
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if route::gap(&known).is_some() => Err(error),
            _ => Ok(sum),
        }
    }

    fn generation(&self) -> Result<u64, StoreError> {
        let mut hasher = DefaultHasher::new();
        for member in &self.members {
            // A store that goes away or comes back is a change, too.
            member
                .quick(|store| store.generation())
                .ok()
                .hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    fn members(&self) -> Vec<(String, Arc<dyn BlockStore>)> {
        let one = |member: &Member| (member.name.clone(), Arc::clone(&member.store));
        self.members.iter().map(one).collect()
    }

    fn mend(&self, keys: &[BlockKey]) -> Result<Vec<Mended>, StoreError> {
        keys.iter().map(|key| self.mend_one(key)).collect()
    }

    fn without_copies(&self, keys: &[BlockKey]) -> Result<Vec<BlockKey>, StoreError> {
        self.lacking_somewhere(keys)
    }

    fn warnings(&self) -> Vec<String> {
        self.members.iter().filter_map(Member::warning).collect()
    }
}
