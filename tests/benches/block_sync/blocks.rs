//! Blocks of sizes as a hub has them.

use bcm_hub_sync::store::VerifiedBlock;

/// The same blocks each time: incompressible, a few bytes to half a megabyte, mostly small.
pub fn hub_blocks(count: u32) -> Vec<VerifiedBlock> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|number| {
            // Squaring twice makes small sizes common and large ones rare.
            let share = (random() % 10_000) as f64 / 10_000.0;
            let size = match number % 100 {
                0 => 150_000 + (random() % 350_000) as usize,
                _ => 30 + (share * share * share * 28_000.0) as usize,
            };
            let mut payload = Vec::with_capacity(size + 8);
            while payload.len() < size {
                payload.extend_from_slice(&random().to_le_bytes());
            }
            VerifiedBlock::new(payload.into(), 1_700_000_000 + number).expect("small enough")
        })
        .collect()
}
