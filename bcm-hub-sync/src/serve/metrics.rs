//! `/metrics`: how the mirror is, for Prometheus.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bcm_core::serve::MetricsSource;
use bcm_core::serve::metrics::{self, Kind, Metrics};
use hyper::{Response, StatusCode};

use super::app::App;
use super::body::Content;
use super::failure::Failure;
use super::response::{self, Asked};
use super::snapshot::Snapshot;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::store::{BlockStore, StoreStats};
use crate::sync::FollowStatus;
use crate::sync::history::{self, Ended, Record};

/// The store whose blocks are counted.
#[derive(Clone)]
pub struct CountedStore(pub Arc<dyn BlockStore>);

impl std::fmt::Debug for CountedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CountedStore")
    }
}

/// How many answers there were of each class of status, 1xx to 5xx.
#[derive(Debug, Default)]
pub(super) struct Answers {
    classes: [AtomicU64; 5],
}

impl Answers {
    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is looked up for one answer.
struct Facts {
    stats: Option<StoreStats>,
    last: Option<Record>,
    follow: Option<FollowStatus>,
}

impl Facts {
    /// What cannot be read is left out. Blocks the thread.
    fn of(layout: &Layout, store: Option<&CountedStore>) -> Self {
        Self {
            stats: store.and_then(|store| store.0.stats().ok()),
            last: history::last(layout, 1)
                .ok()
                .and_then(|last| last.into_iter().next()),
            follow: FollowStatus::of(layout),
        }
    }
}

impl App {
    /// `/metrics`
    pub(super) async fn metrics(
        &self,
        asked: &Asked<'_>,
        snapshot: Option<Arc<Snapshot>>,
    ) -> Result<Response<Content>, Failure> {
        let text = self.all_metrics(snapshot).await?;
        let builder = response::start(StatusCode::OK);
        Ok(response::text(builder, asked, metrics::CONTENT_TYPE, text))
    }

    async fn all_metrics(&self, snapshot: Option<Arc<Snapshot>>) -> Result<String, Failure> {
        let (layout, store) = (self.layout.clone(), self.store.clone());
        let look = move || Facts::of(&layout, store.as_ref());
        let facts = self.workers.run(look).await?;
        let mut all = Metrics::default();
        let mut mirror = true;
        if let Some(snapshot) = snapshot {
            mirror = !snapshot.mode().is_writable();
            catalogue(&mut all, &snapshot);
        }
        if let Some(stats) = facts.stats {
            let mut gauge = |name, help, value: u64| all.single(name, Kind::Gauge, help, value);
            gauge("bcm_hub_blocks", "Blocks held.", stats.blocks);
            gauge(
                "bcm_hub_block_bytes",
                "Bytes of all blocks together.",
                stats.payload_bytes,
            );
            gauge(
                "bcm_hub_store_disk_bytes",
                "Bytes that the block store takes on disk.",
                stats.disk_bytes,
            );
        }
        if let Some(last) = &facts.last
            && mirror
        {
            last_sync(&mut all, last);
        }
        if let Some(next) = facts.follow.and_then(|follow| follow.next) {
            let name = "bcm_hub_next_sync_timestamp_seconds";
            all.single(name, Kind::Gauge, "When the next sync is.", next);
        }
        let name = "bcm_hub_http_requests_total";
        all.family(
            name,
            Kind::Counter,
            "Requests answered, by class of status.",
        );
        for (class, count) in (1..).zip(&self.answers.classes) {
            let class = format!("{class}xx");
            let count = count.load(Ordering::Relaxed);
            all.sample(name, &[("status", &class)], count);
        }
        Ok(all.into_text())
    }
}

impl MetricsSource for App {
    fn metrics_text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async {
            let snapshot = self.watch.snapshot().await;
            self.all_metrics(snapshot).await.unwrap_or_else(|failure| {
                tracing::warn!(%failure, "the hub's metrics cannot be told");
                String::new()
            })
        })
    }
}

fn catalogue(all: &mut Metrics, snapshot: &Snapshot) {
    let counts = &snapshot.counts;
    let name = "bcm_hub_mode";
    let help = "Whether the hub is a mirror or stands alone: 1 for what it is.";
    all.family(name, Kind::Gauge, help);
    for mode in [Mode::Mirror, Mode::Detached, Mode::Standalone] {
        let is = u64::from(mode == snapshot.mode());
        all.sample(name, &[("mode", mode.as_str())], is);
    }
    let name = "bcm_hub_entries";
    all.family(name, Kind::Gauge, "What is published, by kind.");
    for (kind, count) in [
        ("repository", counts.repositories),
        ("flist", counts.flists),
        ("link", counts.links),
        ("tag", counts.tags),
    ] {
        all.sample(name, &[("kind", kind)], count);
    }
    let name = "bcm_hub_flist_bytes";
    let help = "Bytes of all flists together.";
    all.single(name, Kind::Gauge, help, counts.bytes);
    if let Some(time) = snapshot.last_success() {
        let name = "bcm_hub_last_success_timestamp_seconds";
        let help = "When the mirror was last known to be equal to its upstream.";
        all.single(name, Kind::Gauge, help, time);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        let name = "bcm_hub_lag_seconds";
        let help = "How long ago that was.";
        all.single(name, Kind::Gauge, help, now.saturating_sub(time).max(0));
    }
}

fn last_sync(all: &mut Metrics, last: &Record) {
    let name = "bcm_hub_last_sync_timestamp_seconds";
    let help = "When the last sync began, however it ended.";
    all.single(name, Kind::Gauge, help, last.started);
    let name = "bcm_hub_last_sync_seconds";
    let help = "How long the last sync took.";
    all.single(name, Kind::Gauge, help, last.seconds);
    let (refused, deferred, failed) = match &last.ended {
        Ended::Ran { report } => (report.refused_total, report.deferred_total, 0),
        Ended::Failed { .. } => (0, 0, last.times),
        Ended::Interrupted => (0, 0, 0),
    };
    let name = "bcm_hub_last_sync_problems";
    let help = "Entries that the last sync refused or deferred, and syncs in a row that failed.";
    all.family(name, Kind::Gauge, help);
    all.sample(name, &[("kind", "refused")], refused);
    all.sample(name, &[("kind", "deferred")], deferred);
    all.sample(name, &[("kind", "failed")], failed);
    if let Ended::Ran { report } = &last.ended {
        let name = "bcm_hub_last_sync_fetched_bytes";
        let help = "Bytes that the last sync fetched, by kind.";
        all.family(name, Kind::Gauge, help);
        all.sample(name, &[("kind", "flists")], report.counts.flist_bytes);
        all.sample(name, &[("kind", "blocks")], report.counts.block_bytes);
    }
}
