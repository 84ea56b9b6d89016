//! Retry policy as data: how often, how long between, how much of it by chance.

use std::time::Duration;

/// How often to try again and how long to wait before each try.
///
/// The wait before try `n + 1` is `first × 2^(n-1)`, at most `longest`, of which a random part of
/// up to a half is left away, so that many clients do not come back at the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many tries in all; 1 means no retry. Default 5.
    pub attempts: u32,
    /// The wait after the first failure. Default 500 ms.
    pub first: Duration,
    /// The longest wait. Default 30 s.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// One try only.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// The wait after `failures` failures (1 or more), or `None` when that was the last try.
    #[must_use]
    pub fn delay_after(&self, failures: u32) -> Option<Duration> {
        (failures < self.attempts).then(|| self.jittered(failures))
    }

    fn jittered(&self, failures: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let delay = doubled.min(self.longest);
        // The seed of every RandomState differs: enough for spreading clients apart.
        use std::hash::BuildHasher;
        let chance = std::hash::RandomState::new().hash_one(failures) % 1000;
        delay - delay.mul_f64(chance as f64 / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_longest_and_ends() {
        let policy = RetryPolicy {
            attempts: 10,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(4),
        };
        for (failures, most) in [(1, 1), (2, 2), (3, 4), (4, 4), (9, 4)] {
            let delay = policy.delay_after(failures).unwrap();
            let most = Duration::from_secs(most);
            assert!(delay <= most && delay >= most / 2, "{failures}: {delay:?}");
        }
        assert_eq!(policy.delay_after(10), None);
        assert_eq!(RetryPolicy::never().delay_after(1), None);
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let policy = RetryPolicy {
            attempts: u32::MAX,
            first: Duration::MAX,
            longest: Duration::from_secs(1),
        };
        assert!(policy.delay_after(u32::MAX - 1).unwrap() <= Duration::from_secs(1));
    }
}
