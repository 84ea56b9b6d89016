//! How fast blocks are synced, in one run on one machine, as ratios:
//!
//! - against the limit: the lower of pipelined reads from the same source, thrown away as they come,
//!   and the same bytes written to one file of the same disk, with a sync at the end;
//! - against the way of a script: one request at a time, four round trips a block.
//!
//! With no delay, through a proxy that makes a round trip 50 ms long, and through one that lets
//! 1 Gbit/s pass as well. And how fast blocks are served, against the same replies out of memory. Run it with
//! `cargo bench -p bcm-tests --bench block_sync`.

mod blocks;
mod measure;
mod source;

use std::net::SocketAddr;
use std::time::Duration;

use blocks::hub_blocks;
use measure::{Rate, Store};

/// The source's blocks; their sizes are spread as a hub's are, 10 kB on average.
const BLOCKS: u32 = 60_000;

/// Half of a long round trip.
const DELAY: Duration = Duration::from_millis(25);

/// Each measurement is made this often and the best is taken: others use this machine, too.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(kind) = arguments.iter().position(|a| a == "--source") {
        return source::serve(arguments.get(kind + 1).map(String::as_str));
    }
    if !arguments.iter().any(|a| a == "--bench") {
        println!("this is a bench: run it with `cargo bench`");
        return;
    }
    let blocks = hub_blocks(BLOCKS);
    let bytes: u64 = blocks.iter().map(|b| b.payload().len() as u64).sum();
    let source = source::Source::start();
    println!(
        "source: {}, in a process of its own, on loopback; {} processors",
        source.what,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!(
        "{BLOCKS} blocks, {:.1} MB, {:.1} kB on average; best of {ROUNDS} rounds\n",
        bytes as f64 / 1e6,
        bytes as f64 / 1e3 / f64::from(BLOCKS)
    );

    let keys: Vec<_> = blocks.iter().map(|b| *b.key()).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    serving(&source);
    for (title, address, sample) in [
        ("no delay", source.direct, 4000),
        ("50 ms round trip", source.delayed, 20),
        ("50 ms round trip, 1 Gbit/s", source.narrow, 20),
    ] {
        println!("{title}");
        let cpu = |measured: &dyn Fn() -> Rate| Rate::with_cpu(source.process(), measured);
        let mut raw = [Rate::default(); 2];
        let mut disk = Rate::default();
        let mut synced = [Rate::default(); 3];
        for _ in 0..ROUNDS {
            for (rate, connections) in raw.iter_mut().zip([1, 4]) {
                rate.better(cpu(&|| measure::raw(address, &blocks, connections)));
            }
            disk.better(cpu(&|| measure::disk(&blocks)));
            let kinds = [
                (Store::Memory, true),
                (Store::Memory, false),
                (Store::Embedded, true),
            ];
            for (rate, (store, timestamps)) in synced.iter_mut().zip(kinds) {
                let synced = || measure::synced(&runtime, address, &keys, store, timestamps);
                rate.better(cpu(&synced));
            }
        }
        let script = cpu(&|| measure::one_at_a_time(address, source.direct, &keys[..sample]));
        show("raw pipelined reads, 1 connection", raw[0], None);
        show("raw pipelined reads, 4 connections", raw[1], None);
        show("the disk: one file, written and synced", disk, None);
        let mut best = raw[0];
        best.better(raw[1]);
        let limit = if disk.per_second() < best.per_second() {
            disk
        } else {
            best
        };
        show("one request at a time", script, None);
        println!(
            "    ({sample} blocks only; EXISTS and another near, GET and KEYTIME far; nothing stored)"
        );
        show("bcm, in memory", synced[0], Some(("raw", best, script)));
        show(
            "bcm, in memory, without times",
            synced[1],
            Some(("raw", best, script)),
        );
        show(
            "bcm, embedded store, flushed",
            synced[2],
            Some(("the limit", limit, script)),
        );
        println!(
            "    {:.2} of raw, {:.2} of the disk",
            synced[2].per_second() / best.per_second(),
            synced[2].per_second() / disk.per_second()
        );
        println!();
    }
}

/// The server alone: blocks through its port against the same replies out of memory, to the same
/// client.
fn serving(source: &source::Source) {
    let blocks = hub_blocks(BLOCKS);
    let embedded = "BCM's own, embedded store";
    let ports = [
        ("the same replies from memory", source.echo),
        (source.what.as_str(), source.direct),
        (embedded, source.embedded),
    ];
    println!("blocks through a port");
    for connections in [1, 4] {
        let mut rates = [Rate::default(); 3];
        for _ in 0..ROUNDS {
            for (rate, (_, address)) in rates.iter_mut().zip(ports) {
                rate.better(Rate::with_cpu(source.process(), || {
                    measure::raw(address, &blocks, connections)
                }));
            }
        }
        for (rate, (what, _)) in rates.iter().zip(ports) {
            show(&format!("{what}, {connections} conn."), *rate, None);
            if *what != *ports[0].0 {
                let ratio = rate.per_second() / rates[0].per_second();
                println!("    {ratio:.2} of the replies from memory");
            }
        }
    }
    println!();
}

fn show(name: &str, rate: Rate, against: Option<(&str, Rate, Rate)>) {
    let ratios = against.map_or(String::new(), |(what, limit, script)| {
        format!(
            "   {:.2} of {what}, {:.0} × one at a time",
            rate.per_second() / limit.per_second(),
            rate.per_second() / script.per_second()
        )
    });
    println!(
        "  {name:<40} {:>8.0} blocks/s {:>7.1} MB/s {:>5.1} s of processor/GB{ratios}",
        rate.per_second(),
        rate.megabytes_per_second(),
        rate.cpu_per_gigabyte(),
    );
}

/// A folder that goes away, on the disk that the build is on: `/tmp` may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
