//! The embedded store against fjall, redb, plain files, and the disk itself.
//!
//! `cargo bench -p bcm-tests --bench store -- [--mib N] [--keys N] [--rounds N] [--dir FOLDER]`
//!
//! Every figure comes from a process of its own, so that memory is one engine's alone. All engines
//! get the same blocks in batches of 4 MiB, and make them durable every 64 MiB. `raw` is one file
//! that is only appended to and read at known places: what the disk and the kernel give at best.
//! The ingesting process ends without closing anything, so that opening is a restart after a
//! crash. Reads and restarts come from the page cache.
//!
//! Reads are counted in a second of processor time, which is what they take there.
//!
//! Ratios are to `raw` in the same run. This prints; it checks nothing.

mod blocks;
mod engines;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use blocks::Case;
use measure::Figures;

const ENGINES: [&str; 5] = ["raw", "bcm", "fjall", "redb", "files"];

struct Arguments {
    mib: u64,
    keys: u64,
    rounds: usize,
    folder: PathBuf,
}

fn main() {
    let mut given = std::env::args().skip(1).peekable();
    if given.peek().is_some_and(|first| first == "--child") {
        measure::child(&given.skip(1).collect::<Vec<_>>());
        // Nothing is closed.
        exit(0);
    }
    let mut arguments = Arguments {
        mib: 1024,
        keys: 1_000_000,
        rounds: 3,
        folder: std::env::temp_dir(),
    };
    while let Some(flag) = given.next() {
        let mut number = || match given.next().map(|text| text.parse::<u64>()) {
            Some(Ok(number)) if number > 0 => number,
            _ => usage(&flag),
        };
        match flag.as_str() {
            // What cargo says to every bench.
            "--bench" => {}
            "--mib" => arguments.mib = number(),
            "--keys" => arguments.keys = number(),
            "--rounds" => arguments.rounds = number() as usize,
            "--dir" => arguments.folder = given.next().unwrap_or_else(|| usage(&flag)).into(),
            _ => usage(&flag),
        }
    }
    let bytes = arguments.mib << 20;
    for case in [
        Case::new(10_000, bytes / 10_000),
        Case::new(500_000, bytes / 500_000),
        Case::new(100, arguments.keys),
    ] {
        println!(
            "\n{} blocks of {} bytes, median of {}",
            case.count, case.size, arguments.rounds
        );
        run(&case, &arguments);
    }
}

fn usage(flag: &str) -> ! {
    eprintln!("{flag}: usage: [--mib N] [--keys N] [--rounds N] [--dir FOLDER]");
    exit(2);
}

fn run(case: &Case, arguments: &Arguments) {
    let mut all: Vec<Vec<Figures>> = ENGINES.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.rounds {
        for (engine, figures) in ENGINES.iter().zip(&mut all) {
            // A million files say little and take minutes.
            if *engine == "files" && case.size < 1000 {
                continue;
            }
            let folder = tempfile::tempdir_in(&arguments.folder).expect("a folder to work in");
            let mut one = Figures::default();
            for phase in ["ingest", "read"] {
                one.extend(spawn(phase, engine, case, folder.path()));
            }
            figures.push(one);
        }
    }
    let medians: Vec<Option<Figures>> = all.iter().map(|rounds| measure::median(rounds)).collect();
    measure::print(&ENGINES, &medians);
}

/// Runs one phase in a process of its own.
fn spawn(phase: &str, engine: &str, case: &Case, folder: &Path) -> Figures {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--child", phase, engine])
        .args([case.size.to_string(), case.count.to_string()])
        .arg(folder)
        .output()
        .expect("this program, again");
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        eprintln!("{engine}, {phase}: {}\n{error}", output.status);
        exit(1);
    }
    measure::parse(&text)
}
