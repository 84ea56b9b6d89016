//! The fuzz targets on a stable compiler: the recordings and the kept corpus, mutated by chance.
//!
//! A default run is short and always the same. `BCM_FUZZ_SECONDS=60` (`.ci/run fuzz` sets it) gives
//! each target that long, from a seed of the moment, which is printed. An input that makes a target
//! panic is written to `fuzz/artifacts`, and becomes a test beside the code that it broke.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bcm_tests::chance::Chance;
use bcm_tests::fixtures;

#[path = "../../../fuzz/targets.rs"]
mod targets;

/// How many inputs a target gets in a default run.
const INPUTS: u64 = 400;

/// Inputs do not grow beyond this.
const LONGEST: usize = 256 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[allow(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says how long"
)]
fn seconds() -> Option<u64> {
    std::env::var("BCM_FUZZ_SECONDS").ok()?.parse().ok()
}

fn corpus(target: &str, mut seeds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let folder = folder().join("corpus").join(target);
    let mut kept: Vec<_> = std::fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    kept.sort();
    assert!(!kept.is_empty(), "{} is empty", folder.display());
    seeds.extend(kept.iter().map(|path| std::fs::read(path).expect("a file")));
    seeds
}

fn drive(target: &str, seeds: Vec<Vec<u8>>, run: impl Fn(&[u8])) {
    let seeds = corpus(target, seeds);
    let end = seconds().map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seed = match end {
        None => 1,
        Some(_) => {
            let clock = SystemTime::now().duration_since(UNIX_EPOCH);
            u64::from(clock.expect("a clock").subsec_nanos())
        }
    };
    let mut chance = Chance::new(seed);
    let mut inputs = 0;
    loop {
        let input = match seeds.get(usize::try_from(inputs).unwrap_or(usize::MAX)) {
            // As they are, first.
            Some(seed) => seed.clone(),
            None => mutated(&seeds, &mut chance),
        };
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            let artifacts = folder().join("artifacts");
            std::fs::create_dir_all(&artifacts).expect("a folder");
            let path = artifacts.join(format!("{target}-{seed}-{inputs}"));
            std::fs::write(&path, &input).expect("a file");
            panic!("{target}: {} makes it panic (seed {seed})", path.display());
        }
        inputs += 1;
        let go_on = match end {
            None => inputs < INPUTS + seeds.len() as u64,
            Some(end) => Instant::now() < end,
        };
        if !go_on {
            break;
        }
    }
    println!("{target}: {inputs} inputs from seed {seed}");
}

/// One of the seeds with a few changes, or two of them put together.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    const TELLING: [&[u8]; 16] = [
        b"\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\r\n",
        b"$-1\r\n",
        b"*1024\r\n",
        b"$8388609\r\n",
        b"99999999999999999999",
        b"-9223372036854775808",
        b"1e999",
        b"\"\\ud800\"",
        b"../",
        b"{",
        b"[",
        b"\"",
        b"null",
    ];
    let mut input = chance.of(seeds).clone();
    for _ in 0..=chance.below(6) {
        let at = chance.below(input.len() as u64 + 1) as usize;
        let rest = input.len() - at;
        match chance.below(8) {
            0 => input.truncate(at),
            1 if rest > 0 => input[at] ^= 1 << chance.below(8),
            2 if rest > 0 => input[at] = chance.below(256) as u8,
            3 => drop(input.splice(at..at, chance.of(&TELLING).iter().copied())),
            4 if rest > 0 => {
                let count = 1 + chance.below(rest.min(64) as u64) as usize;
                input.drain(at..at + count);
            }
            5 if rest > 0 => {
                let count = 1 + chance.below(rest.min(1024) as u64) as usize;
                let piece = input[at..at + count].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let other = chance.of(seeds);
                let from = chance.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => {
                let telling = *chance.of(&TELLING);
                let count = telling.len().min(rest);
                input[at..at + count].copy_from_slice(&telling[..count]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// The bodies of recorded answers to paths that `wanted` takes.
fn bodies(wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    fixtures::exchanges()
        .iter()
        .filter(|exchange| exchange.status == 200 && wanted(&exchange.path))
        .map(fixtures::Exchange::body)
        .filter(|body| body.len() < LONGEST)
        .collect()
}

#[test]
fn flists() {
    let scratch = tempfile::tempdir().expect("a folder");
    let seeds = bodies(|path| path.ends_with(".flist") && !path.starts_with("/api"));
    assert!(!seeds.is_empty());
    drive("flist", seeds, |bytes| {
        targets::flist(bytes, scratch.path())
    });
}

#[test]
fn listings() {
    let seeds = bodies(|path| path.starts_with("/api"));
    assert!(!seeds.is_empty());
    drive("listing", seeds, targets::listing);
}

fn commands() -> impl Iterator<Item = fixtures::Command> {
    fixtures::public_commands()
        .into_iter()
        .chain(fixtures::admin_commands())
}

#[test]
fn wire() {
    let replies = commands().filter_map(|command| command.reply());
    let all = replies.chain(commands().map(|command| command.request()));
    let cut = |bytes: Vec<u8>| [&[0, 5][..], &bytes].concat();
    drive("resp", all.map(cut).collect(), targets::resp);
}

#[test]
fn servers() {
    // Waiting is what WAIT does, and would be all that this test does.
    let quick = commands().filter(|command| !command.command.starts_with("WAIT"));
    drive(
        "server",
        quick.map(|command| command.request()).collect(),
        targets::server,
    );
}
