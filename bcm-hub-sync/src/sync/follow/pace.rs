//! When the next sync is.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bcm_core::retry::RetryPolicy;

/// How often a mirror is synced.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowOptions {
    /// The pause between the end of a sync and the beginning of the next one. Default 10 minutes.
    pub interval: Duration,
    /// The share of `interval`, from 0 to 1, by which a pause is made longer or shorter by chance,
    /// so that mirrors do not all ask at the same moment. Default 0.1.
    pub jitter: f64,
    /// Whether the first sync is at once, or after a pause. Default: at once.
    pub at_once: bool,
    /// Whether a pause ends early when upstream's 0-db says that it got blocks (`WAIT SET`). A
    /// server that does not say so is polled and nothing else. Default: yes.
    pub listen: bool,
    /// However often upstream's 0-db gets blocks, the pause is at least so long. Default 30
    /// seconds.
    pub least_pause: Duration,
    /// After a failed sync: the pause, doubled with each further failure. Default 15 seconds.
    pub first_retry: Duration,
    /// The longest that such a pause becomes. Default 15 minutes.
    pub longest_retry: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            jitter: 0.1,
            at_once: true,
            listen: true,
            least_pause: Duration::from_secs(30),
            first_retry: Duration::from_secs(15),
            longest_retry: Duration::from_secs(900),
        }
    }
}

impl FollowOptions {
    /// The pause after a sync that was the `failures`th in a row to fail (0: it did not). `waits`:
    /// it ran to its end, but something is missing that may come soon.
    pub(super) fn pause(&self, failures: u32, waits: bool) -> Duration {
        if failures == 0 {
            return self.jittered(self.interval);
        }
        let policy = RetryPolicy {
            attempts: u32::MAX,
            first: self.first_retry,
            longest: self.longest_retry,
        };
        let pause = policy
            .delay_after(failures.min(u32::MAX - 1))
            .unwrap_or(self.longest_retry);
        match waits {
            true => pause.min(self.jittered(self.interval)),
            false => pause,
        }
    }

    fn jittered(&self, pause: Duration) -> Duration {
        let jitter = self.jitter.clamp(0.0, 1.0);
        // Every RandomState has keys of its own: enough for spreading mirrors apart.
        let chance = RandomState::new().hash_one(0_u8) % 2001;
        #[allow(clippy::cast_precision_loss, reason = "at most 2000")]
        let factor = 1.0 + jitter * (chance as f64 / 1000.0 - 1.0);
        pause.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_up_to_their_limit_and_then_start_anew() {
        let options = FollowOptions::default();
        let within = |pause: Duration, low: u64, high: u64| {
            let (low, high) = (Duration::from_secs(low), Duration::from_secs(high));
            assert!(pause >= low && pause <= high, "{pause:?}");
        };
        within(options.pause(0, false), 540, 660);
        within(options.pause(1, false), 7, 15);
        within(options.pause(3, false), 30, 60);
        within(options.pause(30, false), 450, 900);
        within(options.pause(u32::MAX, false), 450, 900);
        // What waits for blocks never waits longer than without them.
        within(options.pause(u32::MAX, true), 450, 660);
    }

    #[test]
    fn jitter_can_be_switched_off_and_is_never_absurd() {
        let mut options = FollowOptions {
            jitter: 0.0,
            ..FollowOptions::default()
        };
        assert_eq!(options.pause(0, false), options.interval);
        options.jitter = 1e9;
        assert!(options.pause(0, false) <= 2 * options.interval);
    }
}
