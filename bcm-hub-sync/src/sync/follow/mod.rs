//! Keeps a mirror equal to its upstream: one sync after another, for as long as it is let.
//!
//! Nothing that goes wrong in a sync ends this: upstream may be away for hours, the disk may be
//! full, another process may be writing to the data folder. Pauses grow up to a limit and are short
//! again after the first success. They are measured by the monotonic clock; what is told to others
//! about the next attempt follows the wall clock, and is told again when that was set. A pause after
//! a sync that went well ends early when upstream's 0-db says that it got blocks.

mod news;
mod pace;
mod status;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_core::lock::LockError;
use bcm_core::progress::SharedProgress;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::config::{BlockMode, SyncConfig};
use super::error::SyncError;
use super::plan::now;
use super::report::SyncReport;
use super::run::sync;
use crate::layout::Layout;
use crate::store::{BlockStore, StoreError};

pub use pace::FollowOptions;
pub use status::FollowStatus;
use status::Seat;

/// A pause is cut into pieces of this length, after each of which the wall clock is looked at.
const SLICE: Duration = Duration::from_secs(30);

/// The wall clock was set when it differs by more than this many seconds from what it should say.
const CLOCK_SET: i64 = 5;

/// How long is waited for another process that writes to the data folder.
const BUSY: Duration = Duration::from_secs(15);

/// However often it is woken, the pause between two syncs is at least so long.
const LEAST_PAUSE: Duration = Duration::from_secs(2);

/// Opens the block store for one sync. It is closed between syncs, so that a `gc` or a repair by
/// another process can have its turn.
pub type OpenStore<'a> = &'a (dyn Fn() -> Result<Arc<dyn BlockStore>, StoreError> + Sync);

/// What happened, for whoever watches.
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowEvent<'a> {
    /// A sync ran to its end.
    Synced {
        /// What it did.
        report: &'a SyncReport,
        /// How many syncs in a row had failed before it, and for how long.
        after: Option<(u32, Duration)>,
        /// The pause before the next one.
        next: Duration,
    },
    /// A sync failed.
    Failed {
        /// Why.
        error: &'a SyncError,
        /// How many in a row, this one included.
        failures: u32,
        /// The pause before the next one.
        next: Duration,
    },
    /// Another process writes to the data folder, a restored snapshot is not released yet, or this is no
    /// mirror any more.
    Busy {
        /// Which.
        error: &'a SyncError,
        /// The pause before it is tried again.
        next: Duration,
    },
}

/// What a mirror follows its upstream with.
#[derive(Clone, Copy)]
pub struct Follower<'a> {
    /// The data folder.
    pub layout: &'a Layout,
    /// What each sync is told.
    pub config: &'a SyncConfig,
    /// How often.
    pub options: &'a FollowOptions,
    /// Opens the block store.
    pub open_store: OpenStore<'a>,
    /// Is told what happens.
    pub watch: &'a (dyn Fn(FollowEvent<'_>) + Sync),
    /// Ends a pause early.
    pub wake: &'a Notify,
}

/// Syncs again and again until `cancel`.
///
/// Cancel safety: as for [`sync()`].
///
/// # Errors
/// Another process already follows for this data folder. Nothing else ends it.
pub async fn follow(
    follower: Follower<'_>,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<(), LockError> {
    let Follower {
        config, options, ..
    } = follower;
    let seat = Seat::take(follower.layout)?;
    let news = Notify::new();
    let listening = async {
        match options.listen && config.blocks != BlockMode::None {
            true => news::listen(config, options, &news, &progress).await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = syncs(follower, &seat, &news, &progress, &cancel) => Ok(()),
        never = listening => match never {},
    }
}

/// One sync after the other until `cancel`. `news` ends a pause early, but not one after a failure.
async fn syncs(
    follower: Follower<'_>,
    seat: &Seat<'_>,
    news: &Notify,
    progress: &SharedProgress,
    cancel: &CancellationToken,
) {
    let Follower {
        layout,
        config,
        options,
        open_store,
        watch,
        wake,
    } = follower;
    let never = Notify::new();
    let since = now();
    let mut config = config.clone();
    let mut failing = Failing::default();
    if !options.at_once {
        let status = FollowStatus {
            since,
            next: None,
            failures: 0,
        };
        let pause = Pause {
            length: options.pause(0, false),
            wake,
            news,
            least: options.least_pause,
        };
        pause.wait(seat, status, cancel).await;
    }
    while !cancel.is_cancelled() {
        seat.tell(&FollowStatus {
            since,
            next: None,
            failures: failing.count,
        });
        let shown = Arc::clone(progress);
        let result = match open_store() {
            Ok(store) => sync(layout, &config, store, shown, cancel.clone()).await,
            Err(error) => Err(SyncError::Store(error)),
        };
        let went_well = result.is_ok();
        let next = match &result {
            Err(SyncError::Cancelled) => return,
            Err(error) if error.is_busy() || error.waits_for_operator() => {
                let next = match error.is_busy() {
                    true => BUSY,
                    false => options.pause(0, false),
                };
                watch(FollowEvent::Busy { error, next });
                next
            }
            Err(error) => {
                failing.count = failing.count.saturating_add(1);
                failing.since.get_or_insert_with(Instant::now);
                let next = options.pause(failing.count, false);
                let failures = failing.count;
                watch(FollowEvent::Failed {
                    error,
                    failures,
                    next,
                });
                next
            }
            Ok(report) => {
                // Looking at all blocks again is for the first sync.
                config.recheck_blocks = false;
                let after = failing.ended();
                let waits = report.deferred_total > 0;
                failing.waits = if waits { failing.waits + 1 } else { 0 };
                let next = options.pause(failing.waits, waits);
                watch(FollowEvent::Synced {
                    report,
                    after,
                    next,
                });
                next
            }
        };
        let status = FollowStatus {
            since,
            next: None,
            failures: failing.count,
        };
        let pause = Pause {
            length: next,
            wake,
            news: if went_well { news } else { &never },
            least: options.least_pause,
        };
        pause.wait(seat, status, cancel).await;
    }
}

/// What has failed lately.
#[derive(Debug, Default)]
struct Failing {
    /// Syncs in a row.
    count: u32,
    since: Option<Instant>,
    /// Syncs in a row that ran to their end and left something waiting.
    waits: u32,
}

impl Failing {
    /// A sync ran to its end: how many had failed before, and for how long.
    fn ended(&mut self) -> Option<(u32, Duration)> {
        let count = std::mem::take(&mut self.count);
        self.since.take().map(|since| (count, since.elapsed()))
    }
}

/// Between two syncs.
struct Pause<'a> {
    length: Duration,
    /// Ends it at once.
    wake: &'a Notify,
    /// Ends it, but not before `least`.
    news: &'a Notify,
    least: Duration,
}

impl Pause<'_> {
    /// Waits, and tells others when the next sync is.
    async fn wait(&self, seat: &Seat<'_>, mut status: FollowStatus, cancel: &CancellationToken) {
        let begin = tokio::time::Instant::now();
        let mut length = self.length;
        let mut news = self.news;
        let never = Notify::new();
        loop {
            let left = length.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return;
            }
            let next = now().saturating_add(i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
            if status
                .next
                .is_none_or(|told| (told - next).abs() > CLOCK_SET)
            {
                status.next = Some(next);
                seat.tell(&status);
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(SLICE)) => {}
                () = cancel.cancelled() => return,
                () = self.wake.notified() => length = length.min(LEAST_PAUSE),
                () = news.notified() => {
                    length = length.min(self.least);
                    news = &never;
                }
            }
        }
    }
}
