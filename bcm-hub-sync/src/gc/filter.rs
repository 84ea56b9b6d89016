//! A set of keys in bounded memory that may hold more than was put into it, and never less.

use std::hash::{BuildHasher, RandomState};

use crate::block::BlockKey;

/// Bits for each expected key: about 5 in 10,000 keys that were not put in are taken for being in.
const BITS_PER_KEY: u64 = 16;
/// How many bits each key sets.
const PROBES: u64 = 8;
/// The least size in bits, 1 MiB.
const LEAST: u64 = 8 * 1024 * 1024;
/// The most, 64 MiB: enough for 32 million blocks; with more of them, more garbage stays.
const MOST: u64 = 512 * 1024 * 1024;

/// A Bloom filter. A key that is wrongly taken for being in is spared, which costs room and loses
/// nothing; it is seeded anew each time, so the next run takes others.
pub(super) struct Filter {
    words: Vec<u64>,
    seeds: [RandomState; 2],
}

impl Filter {
    /// With room for `keys` keys.
    pub(super) fn new(keys: u64) -> Self {
        let bits = keys.saturating_mul(BITS_PER_KEY).clamp(LEAST, MOST);
        let words = usize::try_from(bits.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            words: vec![0; words],
            seeds: [RandomState::new(), RandomState::new()],
        }
    }

    pub(super) fn insert(&mut self, key: &BlockKey) {
        for (word, bit) in self.places(key) {
            self.words[word] |= bit;
        }
    }

    pub(super) fn may_hold(&self, key: &BlockKey) -> bool {
        self.places(key)
            .all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn places(&self, key: &BlockKey) -> impl Iterator<Item = (usize, u64)> + use<> {
        let [a, b] = &self.seeds;
        let (a, b) = (a.hash_one(key), b.hash_one(key) | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let bit = a.wrapping_add(probe.wrapping_mul(b)) % bits;
            // A vector's index is never larger than its length, which was a usize.
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_and_hardly_anything_else() {
        let key = |n: u64| BlockKey::of(&n.to_le_bytes());
        // As full as it is meant to get.
        let count = LEAST / BITS_PER_KEY / 16;
        let mut filter = Filter::new(count);
        filter.words.truncate(filter.words.len() / 16);
        (0..count).map(key).for_each(|key| filter.insert(&key));
        assert!((0..count).map(key).all(|key| filter.may_hold(&key)));
        let others = (count..count + 20_000).map(key);
        let wrong = others.filter(|key| filter.may_hold(key)).count();
        assert!(wrong < 60, "{wrong} of 20,000");
    }

    #[test]
    fn its_memory_has_a_limit() {
        assert_eq!(Filter::new(u64::MAX).words.len() as u64 * 64, MOST);
    }
}
