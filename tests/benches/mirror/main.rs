//! A mirror's speed and memory, in one run on one machine, as ratios:
//!
//! - `catalogue`: the first sync of 1,000 repositories and 3,000 flists through a round trip of 50 ms,
//!   against one request at a time; and how many requests a sync takes when nothing is new;
//! - `serving`: the lists of that catalogue against an answer that never changes; what is read from
//!   files meanwhile; and the server's memory while large flists are downloaded;
//! - `verify`: a store of which nothing is in the system's cache, against the lower of hashing alone and
//!   of reading a file;
//! - `memory`: the most memory that syncing, verifying and collecting a million blocks take.
//!
//! `cargo bench -p bcm-tests --bench mirror` runs all, `… --bench mirror -- verify` one of them.

#[path = "../block_sync/blocks.rs"]
mod blocks;
mod catalogue;
mod http;
mod memory;
mod process;
mod serving;
mod verify;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some([kind, rest @ ..]) = arguments.strip_prefix(&["--child".to_owned()]) {
        return match kind.as_str() {
            "serve" => serving::child(rest),
            other => memory::child(other, rest),
        };
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("this is a bench: run it with `cargo bench`");
        return;
    }
    let named = |argument: &&String| !argument.starts_with("--");
    let only: Vec<&String> = arguments.iter().filter(named).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| *one == name);
    println!(
        "{} processors, load {}\n",
        processors(),
        std::fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .trim()
    );
    if wanted("catalogue") || wanted("serving") {
        let data = folder();
        catalogue::run(data.path());
        if wanted("serving") {
            serving::run(data.path());
        }
    }
    if wanted("verify") {
        verify::run();
    }
    if wanted("memory") {
        memory::run();
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A folder that goes away, on the disk that the build is on: `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}
