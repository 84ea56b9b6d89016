//! A large catalogue, far away.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::sync::{SyncConfig, SyncReport, sync};
use bcm_tests::delay_proxy::DelayProxy;
use bcm_tests::origin::{Node, Origin};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::http::Client;

const REPOSITORIES: usize = 1000;
const FLISTS_EACH: usize = 3;

/// Of so many repositories one request at a time is measured; the rest is taken to be as slow.
const SAMPLE: usize = 20;

/// Half of a round trip.
const DELAY: Duration = Duration::from_millis(25);

/// Syncs the catalogue into `data`.
pub fn run(data: &Path) {
    let origin = origin();
    let runtime = Runtime::new().expect("a runtime");
    let near = |address: SocketAddr| {
        let proxy = runtime.block_on(DelayProxy::start(address, DELAY));
        proxy.expect("a port")
    };
    let (http, zdb) = (near(origin.http_addr()), near(origin.zdb_addr()));
    println!(
        "catalogue: {REPOSITORIES} repositories, {} flists, 50 ms round trip",
        flists()
    );

    let started = Instant::now();
    let mut client = Client::connect(http.address());
    for repository in 0..SAMPLE {
        client.get(&format!("/api/flist/bench-{repository:04}"));
        for flist in 0..FLISTS_EACH {
            let path = format!("/bench-{repository:04}/{flist}.flist");
            client.get(&format!("{path}.md5"));
            client.get(&path);
        }
    }
    let serial = started.elapsed() * u32::try_from(REPOSITORIES / SAMPLE).expect("few");

    origin.forget_counts();
    let (first, report) = synced(&runtime, data, http.address(), zdb.address());
    assert_eq!(report.counts.flists_new, flists() as u64, "{report:?}");
    let (first_requests, first_commands) = counts(&origin);
    origin.forget_counts();
    let (again, report) = synced(&runtime, data, http.address(), zdb.address());
    assert!(report.nothing_to_do, "{report:?}");
    let (requests, commands) = counts(&origin);
    println!(
        "  one request at a time   {:>8.1} s  (from {SAMPLE} repositories)",
        serial.as_secs_f64()
    );
    println!(
        "  first sync              {:>8.1} s   {:.1} × one at a time; {first_requests} requests, \
         {first_commands} of the 0-db",
        first.as_secs_f64(),
        serial.as_secs_f64() / first.as_secs_f64()
    );
    println!(
        "  nothing new             {:>8.1} s   {requests} requests, {commands} of the 0-db: {}\n",
        again.as_secs_f64(),
        origin.requests().into_keys().collect::<Vec<_>>().join(" ")
    );
}

fn flists() -> usize {
    REPOSITORIES * FLISTS_EACH
}

/// The recorded hub with many repositories instead of its own. Each flist is a file of its own, with
/// an MD5 of its own.
fn origin() -> Origin {
    let origin = Origin::recorded();
    origin.edit(|users| {
        let recorded = std::mem::take(&mut users.repositories);
        let nodes = recorded.values().flat_map(|folder| folder.nodes.values());
        let archive = nodes
            .filter_map(|node| match node {
                Node::File { content, .. } => Some(content),
                _ => None,
            })
            .max_by_key(|content| content.len())
            .expect("the recording has flists");
        let mut tar = Vec::new();
        let mut unpacked = flate2::read::GzDecoder::new(&archive[..]);
        unpacked.read_to_end(&mut tar).expect("an archive");
        for number in 0..flists() {
            // The time in the archive's head is what makes it different.
            let mut packed = flate2::GzBuilder::new()
                .mtime(u32::try_from(number).expect("few"))
                .write(Vec::new(), flate2::Compression::fast());
            packed.write_all(&tar).expect("memory takes it");
            let packed = packed.finish().expect("memory takes it");
            let (repository, flist) = (number / FLISTS_EACH, number % FLISTS_EACH);
            let repository = users.repository(&format!("bench-{repository:04}"));
            repository.mtime = 1_700_000_000;
            repository.put_file(&format!("{flist}.flist"), packed, 1_700_000_000);
        }
    });
    origin
}

fn synced(
    runtime: &Runtime,
    data: &Path,
    http: SocketAddr,
    zdb: SocketAddr,
) -> (Duration, SyncReport) {
    let layout = Layout::new(data);
    let hub = format!("http://{http}").parse().expect("a URL");
    let mut config = SyncConfig::new(vec![hub]);
    config.upstream_zdb = vec![format!("zdb://{zdb}/default").parse().expect("an address")];
    let started = Instant::now();
    let store = EmbeddedStore::open(layout.blocks(), Access::ReadWrite).expect("a store");
    let (progress, cancel) = (bcm_core::progress::none(), CancellationToken::new());
    let report = runtime
        .block_on(sync(&layout, &config, Arc::new(store), progress, cancel))
        .expect("the origin is up");
    assert_eq!(report.refused_total, 0, "{report:?}");
    (started.elapsed(), report)
}

/// Requests of the hub and commands of the 0-db.
fn counts(origin: &Origin) -> (u64, u64) {
    (
        origin.requests().values().sum(),
        origin.commands().values().sum(),
    )
}
