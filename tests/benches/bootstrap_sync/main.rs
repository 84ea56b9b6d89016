//! How fast a Bootstrap is mirrored and served, in one run on one machine:
//!
//! - a sync of 20 kernels of 100 MB through a round trip of 50 ms, against the link: the same bytes from
//!   the same source through the same delay, thrown away as they come. Once over a link of 1 Gbit/s, and
//!   once over one that only this machine's processors limit;
//! - the memory of the server while 64 clients download at once;
//! - boot media over HTTP, each for another farm.
//!
//! Run it with `cargo bench -p bcm-tests --bench bootstrap_sync`. It needs 5 GB of disk in the target
//! folder while it runs.

mod measure;
mod media;
mod source;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use measure::Rate;
use source::{KERNELS, SIZE, Source};
use tokio::runtime::Runtime;

/// Half of a long round trip.
const DELAY: Duration = Duration::from_millis(25);

/// What depends on the processors is measured this often and the best is taken: others use them, too.
const ROUNDS: usize = 3;

/// Who downloads at once.
const CLIENTS: u64 = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--source") {
        return source::serve(arguments.get(at + 1).map(String::as_str));
    }
    if !arguments.iter().any(|a| a == "--bench") {
        println!("this is a bench: run it with `cargo bench`");
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    source::fill(folder.path());
    println!(
        "{KERNELS} kernels of {} MB; {} processors\n",
        SIZE / 1_000_000,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    syncing(folder.path());
    clients(folder.path());
    media::measure(folder.path());
}

fn syncing(folder: &Path) {
    let source = Source::start(folder);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let delay = 2 * DELAY.as_millis();
    println!("a sync over 1 Gbit/s, through a round trip of {delay} ms");
    over(&runtime, folder, source.narrow, 1);
    println!("a sync over a link without a limit, through a round trip of {delay} ms");
    over(&runtime, folder, source.delayed, ROUNDS);
}

fn over(runtime: &Runtime, folder: &Path, upstream: SocketAddr, rounds: usize) {
    let mut raw = [Rate::default(); 3];
    let mut disk = Rate::default();
    let mut synced = [Rate::default(); 2];
    let mut again = Duration::MAX;
    for _ in 0..rounds {
        for (rate, connections) in raw.iter_mut().zip([1, 4, 8]) {
            rate.better(measure::raw(upstream, connections));
        }
        disk.better(measure::written(folder));
        for (rate, parallel) in synced.iter_mut().zip([4, 8]) {
            let (first, second) = measure::synced(runtime, folder, upstream, parallel);
            rate.better(first);
            again = again.min(second);
        }
    }
    let link = raw
        .iter()
        .copied()
        .max_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    let link = link.unwrap_or_default();
    for (rate, connections) in raw.iter().zip([1, 4, 8]) {
        show(
            &format!("the link, {connections} connections, pipelined"),
            *rate,
            None,
        );
    }
    show("hashed, written and flushed, no network", disk, Some(link));
    show("bcm bootstrap sync, 4 at a time", synced[0], Some(link));
    show("bcm bootstrap sync, 8 at a time", synced[1], Some(link));
    println!("  nothing to do: {:.0} ms\n", again.as_secs_f64() * 1e3);
}

fn clients(folder: &Path) {
    let source = Source::start(folder);
    println!("downloads of a kernel by {CLIENTS} clients at once, no delay");
    let begin = source.peak_memory();
    let one = measure::raw_clients(source.direct, 1);
    let after_one = source.peak_memory();
    let all = measure::raw_clients(source.direct, CLIENTS);
    let after_all = source.peak_memory();
    show("1 client", one, None);
    show(&format!("{CLIENTS} clients"), all, Some(one));
    println!(
        "  the server's peak memory (VmHWM): {begin} kB at the start, {after_one} kB after 1 client, \
         {after_all} kB after {CLIENTS}\n"
    );
}

fn show(name: &str, rate: Rate, against: Option<Rate>) {
    let ratio = against.map_or(String::new(), |other| {
        format!("   {:.2}", rate.per_second() / other.per_second())
    });
    println!(
        "  {name:<42} {:>7.1} MB/s {:>6.2} s{ratio}",
        rate.per_second() / 1e6,
        rate.seconds()
    );
}

/// How long `work` takes.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed(), done)
}
