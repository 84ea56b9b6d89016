//! The blocks that every engine gets.

use bcm_hub_sync::store::VerifiedBlock;

/// Bytes of payload in one batch.
const BATCH_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub size: usize,
    pub count: u64,
}

impl Case {
    pub fn new(size: usize, count: u64) -> Self {
        Self {
            size,
            count: count.max(1),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.size as u64 * self.count
    }

    /// All blocks, a batch at a time.
    pub fn batches(self) -> impl Iterator<Item = Vec<VerifiedBlock>> {
        let batch = (BATCH_BYTES / self.size).clamp(1, 4096) as u64;
        (0..self.count).step_by(batch as usize).map(move |first| {
            let end = (first + batch).min(self.count);
            (first..end).map(|seed| self.block(seed)).collect()
        })
    }

    /// Bytes that do not compress, as those of real blocks, which are compressed already.
    fn block(self, seed: u64) -> VerifiedBlock {
        let mut random = Random(seed + 1);
        let mut payload = Vec::with_capacity(self.size + 8);
        while payload.len() < self.size {
            payload.extend_from_slice(&random.next().to_le_bytes());
        }
        payload.truncate(self.size);
        VerifiedBlock::new(payload.into(), 1_700_000_000).expect("a small block")
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
