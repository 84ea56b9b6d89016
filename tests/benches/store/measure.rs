//! The measuring, and the table.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::blocks::{Case, Random};
use crate::engines;

pub type Figures = BTreeMap<String, f64>;

/// Bytes of payload between two flushes.
const FLUSH_BYTES: usize = 64 << 20;

/// How many keys are read or asked for.
const SAMPLE: u64 = 100_000;

/// In the child: `PHASE ENGINE SIZE COUNT FOLDER`.
pub fn child(arguments: &[String]) {
    let [phase, engine, size, count, folder] = arguments else {
        panic!("PHASE ENGINE SIZE COUNT FOLDER, not {arguments:?}");
    };
    let case = Case::new(
        size.parse().expect("a size"),
        count.parse().expect("a count"),
    );
    let folder = Path::new(folder);
    match phase.as_str() {
        "ingest" => ingest(engine, &case, folder),
        "read" => read(engine, &case, folder),
        other => panic!("no phase {other}"),
    }
}

fn say(name: &str, value: f64) {
    println!("{name} {value}");
}

fn ingest(name: &str, case: &Case, folder: &Path) {
    let mut engine = engines::open(name, folder);
    let mut keys = Vec::new();
    let mut spent = Duration::ZERO;
    let (mut unflushed, mut memory, mut base) = (0, 0, 0);
    let written = bytes_written();
    for batch in case.batches() {
        keys.extend(batch.iter().flat_map(|block| block.key().as_bytes()));
        unflushed += batch.len() * case.size;
        if base == 0 {
            base = anonymous_memory() - keys.capacity() as u64;
        }
        let start = Instant::now();
        engine.put(&batch);
        if unflushed >= FLUSH_BYTES {
            engine.flush();
            unflushed = 0;
        }
        spent += start.elapsed();
        memory = memory.max(anonymous_memory().saturating_sub(keys.capacity() as u64));
    }
    let start = Instant::now();
    engine.flush();
    spent += start.elapsed();
    fs::write(folder.join("keys"), &keys).expect("keys");
    say(
        "ingest MB/s",
        case.bytes() as f64 / 1e6 / spent.as_secs_f64(),
    );
    say(
        "ingest MiB",
        (memory.saturating_sub(base)) as f64 / (1 << 20) as f64,
    );
    say(
        "written",
        (bytes_written() - written) as f64 / case.bytes() as f64,
    );
    say(
        "disk",
        disk(&folder.join("engine")) as f64 / case.bytes() as f64,
    );
    // No destructor closes it: the next one finds what a crash leaves.
    std::mem::forget(engine);
}

fn read(name: &str, case: &Case, folder: &Path) {
    let mut random = Random(7);
    let keys = fs::read(folder.join("keys")).expect("keys");
    let sample: Vec<[u8; 16]> = (0..SAMPLE)
        .map(|_| {
            let at = (random.next() % case.count) as usize * 16;
            keys[at..at + 16].try_into().expect("a key")
        })
        .collect();
    drop(keys);
    let before = anonymous_memory();
    let start = Instant::now();
    let engine = engines::open(name, folder);
    // Some engines do their work when they are first asked.
    assert!(engine.contains(&sample[0]));
    say("open ms", start.elapsed().as_secs_f64() * 1e3);

    // Large ones are fewer, so that this does not take all day.
    let reads = sample.len().min(4_000_000_000 / case.size);
    for key in &sample[..reads / 10] {
        engine.get(key);
    }
    let start = processor_time();
    for key in &sample[..reads] {
        assert_eq!(engine.get(key), Some(case.size));
    }
    let spent = processor_time() - start;
    say("reads/s", reads as f64 / spent.as_secs_f64());

    let start = processor_time();
    for _ in 0..SAMPLE {
        let mut absent = [0; 16];
        absent[..8].copy_from_slice(&random.next().to_be_bytes());
        absent[8..].copy_from_slice(&random.next().to_be_bytes());
        assert!(!engine.contains(&absent));
    }
    let spent = processor_time() - start;
    say("absent/s", SAMPLE as f64 / spent.as_secs_f64());
    let memory = anonymous_memory().saturating_sub(before);
    say("read MiB", memory as f64 / (1 << 20) as f64);
    std::mem::forget(engine);
}

/// What this thread has used: reads from the page cache wait for nothing else, and a busy machine
/// does not count.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

/// Bytes of this process's memory that are not files'.
fn anonymous_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("RssAnon") * 1024
}

/// Bytes that this process had written to disk.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("io");
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|line| line.parse().ok())
        .expect("write_bytes")
}

fn disk(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("list").flatten() {
            bytes += disk(&entry.path());
        }
    }
    bytes
}

pub fn parse(text: &str) -> Figures {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect()
}

pub fn median(rounds: &[Figures]) -> Option<Figures> {
    let first = rounds.first()?;
    Some(
        first
            .keys()
            .map(|name| {
                let mut values: Vec<f64> = rounds.iter().map(|round| round[name]).collect();
                values.sort_by(f64::total_cmp);
                (name.clone(), values[values.len() / 2])
            })
            .collect(),
    )
}

pub fn print(engines: &[&str], medians: &[Option<Figures>]) {
    println!(
        "{:<7} {:>8} {:>6} {:>8} {:>6} {:>10} {:>6} {:>10} {:>9} {:>7} {:>7}",
        "",
        "ingest",
        "ratio",
        "written",
        "disk",
        "reads",
        "ratio",
        "absent",
        "restart",
        "memory",
        ""
    );
    println!(
        "{:<7} {:>8} {:>6} {:>8} {:>6} {:>10} {:>6} {:>10} {:>9} {:>7} {:>7}",
        "", "MB/s", "to raw", "×", "×", "/s", "to raw", "/s", "ms", "ingest", "read"
    );
    let raw = medians.first().and_then(Option::as_ref);
    for (engine, figures) in engines.iter().zip(medians) {
        let Some(figures) = figures else { continue };
        let ratio = |name: &str| raw.map_or(f64::NAN, |raw| figures[name] / raw[name]);
        println!(
            "{:<7} {:>8.0} {:>6.2} {:>8.2} {:>6.2} {:>10.0} {:>6.2} {:>10.0} {:>9.1} {:>7.0} {:>7.0}",
            engine,
            figures["ingest MB/s"],
            ratio("ingest MB/s"),
            figures["written"],
            figures["disk"],
            figures["reads/s"],
            ratio("reads/s"),
            figures["absent/s"],
            figures["open ms"],
            figures["ingest MiB"],
            figures["read MiB"],
        );
    }
}
