//! Making bad copies from good ones.

use bytes::Bytes;

use super::RoutedStore;
use super::member::Member;
use crate::block::BlockKey;
use crate::store::{BlockStore, Mended, StoreError, VerifiedBlock};

/// What one member has of a block.
enum Copy {
    Good(Bytes, u32),
    Bad,
    Absent,
}

impl RoutedStore {
    /// Looks at every copy of `key` and makes those that are damaged or missing from a good one.
    pub(super) fn mend_one(&self, key: &BlockKey) -> Result<Mended, StoreError> {
        let mut copies: Vec<(&Member, Copy)> = Vec::new();
        for member in self.keepers(key) {
            let copy = member.attempt(|store| look(store, key))?;
            copies.push((member, copy));
        }
        let good = copies.iter().find_map(|(_, copy)| match copy {
            Copy::Good(payload, time) => Some((payload.clone(), *time)),
            _ => None,
        });
        let Some((payload, time)) = good else {
            return Ok(Mended::No);
        };
        let Ok(block) = VerifiedBlock::verify(*key, payload, time) else {
            return Ok(Mended::No);
        };
        for (member, copy) in &copies {
            match copy {
                Copy::Good(..) => continue,
                // A 0-db takes no block that it believes to have.
                Copy::Bad => drop(member.attempt(|store| store.remove(&[*key]))?),
                Copy::Absent => {}
            }
            member.attempt(|store| store.put(std::slice::from_ref(&block)))?;
        }
        Ok(Mended::Yes)
    }

    /// Those of `keys` that a member which should have them lacks.
    pub(super) fn lacking_somewhere(&self, keys: &[BlockKey]) -> Result<Vec<BlockKey>, StoreError> {
        let mut lacking = vec![false; keys.len()];
        let ask = |store: &dyn BlockStore, kept: &[usize]| {
            store.contains(&kept.iter().map(|at| keys[*at]).collect::<Vec<_>>())
        };
        for (_, kept, answer) in self.everywhere(keys.iter(), ask) {
            for (at, held) in kept.into_iter().zip(answer?) {
                lacking[at] |= !held;
            }
        }
        let all = keys.iter().zip(lacking).filter(|(_, lacking)| *lacking);
        Ok(all.map(|(key, _)| *key).collect())
    }
}

fn look(store: &dyn BlockStore, key: &BlockKey) -> Result<Copy, StoreError> {
    match store.get(key) {
        Ok(Some((info, payload))) if key.verifies(&payload) => {
            Ok(Copy::Good(payload, info.timestamp))
        }
        Ok(Some(_)) => Ok(Copy::Bad),
        Ok(None) => Ok(Copy::Absent),
        Err(error) if error.is_damage() => Ok(Copy::Bad),
        Err(error) => Err(error),
    }
}
