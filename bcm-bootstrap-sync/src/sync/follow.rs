//! Syncs again and again.

use std::time::Duration;

use bcm_core::progress::SharedProgress;
use bcm_core::retry::RetryPolicy;
use tokio_util::sync::CancellationToken;

use super::{SyncConfig, SyncError, sync};
use crate::layout::Layout;
use crate::report::SyncReport;

/// How often a mirror is synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowOptions {
    /// The pause between the end of a sync and the beginning of the next one. It is up to a tenth
    /// shorter by chance, so that mirrors do not all ask at the same moment. Default 10 minutes.
    pub interval: Duration,
    /// The pauses after failed syncs, if they are shorter than `interval`. Its number of attempts is
    /// not used: a mirror never gives up. Default: 15 seconds, doubled with each failure.
    pub retry: RetryPolicy,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            retry: RetryPolicy {
                attempts: u32::MAX,
                first: Duration::from_secs(15),
                longest: Duration::from_secs(900),
            },
        }
    }
}

impl FollowOptions {
    /// The pause after a sync that was the `failures`th in a row to fail (0: it did not).
    fn pause(&self, failures: u32) -> Duration {
        let whole = RetryPolicy {
            attempts: u32::MAX,
            first: self.interval / 5,
            longest: self.interval / 5,
        };
        // Of a fifth, up to a half goes by chance: a tenth of the whole.
        let chance = whole.delay_after(1).unwrap_or_default();
        let regular = self.interval - self.interval / 5 + chance;
        match failures {
            0 => regular,
            failures => self
                .retry
                .delay_after(failures.min(self.retry.attempts.saturating_sub(1)))
                .unwrap_or(regular)
                .min(regular),
        }
    }
}

/// Syncs at once and then again and again until `cancel`. `watch` is told how each sync ended, and the
/// pause until the next one.
///
/// Cancel safety: as for [`sync()`].
pub async fn follow(
    layout: &Layout,
    config: &SyncConfig,
    options: &FollowOptions,
    progress: SharedProgress,
    cancel: CancellationToken,
    watch: &(dyn Fn(&Result<SyncReport, SyncError>, Duration) + Sync),
) {
    let mut failures = 0_u32;
    loop {
        let result = sync(layout, config, progress.clone(), cancel.clone()).await;
        if matches!(result, Err(SyncError::Cancelled)) {
            return;
        }
        failures = match &result {
            Ok(_) => 0,
            // Somebody else does the work.
            Err(error) if error.is_busy() => failures,
            Err(_) => failures.saturating_add(1),
        };
        let pause = options.pause(failures);
        watch(&result, pause);
        let paused = cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        if paused.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_never_beyond_the_interval() {
        let options = FollowOptions::default();
        let within = |pause: Duration, low: u64, high: u64| {
            let range = Duration::from_secs(low)..=Duration::from_secs(high);
            assert!(range.contains(&pause), "{pause:?}");
        };
        within(options.pause(0), 540, 600);
        within(options.pause(1), 7, 15);
        within(options.pause(3), 30, 60);
        within(options.pause(u32::MAX), 450, 600);
    }
}
