//! What tests of kill points share: how work that ends at one of its steps is started, and where
//! those steps are.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bcm::{Finished, Running};
use crate::fixtures;
use crate::origin::{Origin, Users};

/// How many points a default run takes; `BCM_KILL_POINTS` says another number.
const POINTS: u64 = 4;

/// How many points to try.
#[allow(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says how many"
)]
pub fn points() -> u64 {
    let number = std::env::var("BCM_KILL_POINTS").ok();
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or(POINTS)
}

/// An upstream that can be changed, whose namespace has blocks that no flist names and is scanned
/// in many pages.
pub fn origin() -> Origin {
    let origin = Origin::recorded();
    origin.edit(|_| ());
    origin.scan_page(25);
    add_loose_blocks(&origin, 0..LOOSE);
    origin
}

/// How many blocks that no flist names there are at first.
pub const LOOSE: u32 = 120;

/// Puts blocks that no flist names.
pub fn add_loose_blocks(origin: &Origin, numbers: std::ops::Range<u32>) {
    origin.edit_blocks(|blocks| {
        for number in numbers {
            let payload = number.to_le_bytes().repeat(50);
            let key = bcm_hub_sync::block::BlockKey::of(&payload);
            blocks.put(key.as_bytes().to_vec(), payload, 1_750_000_000);
        }
    });
}

/// What changes between the first sync and the one that is ended: an flist in place, a new one, a
/// link, a tag, and something that is gone.
pub fn change(users: &mut Users) {
    let other = users.repository("alice.3bot").content("my-app-1.0.flist");
    let zos = "zos-production-v3.14.1.flist";
    users
        .repository("tf-zos")
        .put_file(zos, other.clone(), 1_750_000_000);
    let home = users.repository("tf-bootable");
    home.put_file("new.flist", other, 1_750_000_001);
    home.put_link("newest.flist", "new.flist", 1_750_000_002);
}

/// The program `sync_until` of this package, which does `what` at step `step` of `work`.
pub fn until(
    program: &str,
    step: u64,
    [what, work]: [&str; 2],
    data: &Path,
    origin: &Origin,
) -> Command {
    let mut command = Command::new(program);
    command
        .args([&step.to_string(), what, work])
        .arg(data)
        .args([&origin.url(), &origin.zdb_url()])
        .env_clear();
    command
}

/// Does all of `work`. How many steps it has.
#[track_caller]
pub fn steps(program: &str, work: &str, data: &Path, origin: &Origin) -> u64 {
    let ended = finish(until(program, 0, ["nothing", work], data, origin));
    let count = ended
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("steps "));
    count
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no steps: {ended}"))
}

/// Runs `command` to its end.
pub fn finish(command: Command) -> Finished {
    Running::start(command).finish(Duration::from_secs(120))
}

/// `count` numbers from 1 to `last`, evenly spread, both ends among them.
pub fn spread(count: u64, last: u64) -> Vec<u64> {
    let count = count.clamp(2, last.max(2));
    (0..count)
        .map(|at| 1 + at * (last - 1) / (count - 1))
        .collect()
}

/// How many blocks flists name.
pub fn named_blocks() -> usize {
    let flists = fixtures::flists();
    let keys = flists.values().flat_map(|flist| &flist.chunks);
    keys.collect::<std::collections::BTreeSet<_>>().len()
}
