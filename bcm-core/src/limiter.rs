//! Limits on how much is asked for: bytes and requests a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What may be taken before there is a pause: a second's worth is allowed at once.
const BURST: Duration = Duration::from_secs(1);

/// Holds back whoever takes more than allowed. Clones share the allowance.
///
/// Cancel safety: what a dropped future has waited for counts as taken.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bcm_core::limiter::Limiter;
/// let limiter = Limiter::new(Some(10_000_000), Some(100));
/// limiter.request().await;
/// limiter.bytes(1500).await;
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    bytes: Option<Arc<Bucket>>,
    requests: Option<Arc<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    a_second: u64,
    /// When all that was taken is paid for.
    paid: Mutex<Instant>,
}

impl Limiter {
    /// Allows this many bytes and requests a second; `None` allows any number. The default allows
    /// everything.
    #[must_use]
    pub fn new(bytes: Option<u64>, requests: Option<u64>) -> Self {
        let bucket = |a_second: u64| {
            Arc::new(Bucket {
                a_second: a_second.max(1),
                paid: Mutex::new(Instant::now()),
            })
        };
        Self {
            bytes: bytes.map(bucket),
            requests: requests.map(bucket),
        }
    }

    /// With requests of its own, and the same bytes.
    #[must_use]
    pub fn with_requests(&self, requests: Option<u64>) -> Self {
        Self {
            bytes: self.bytes.clone(),
            ..Self::new(None, requests)
        }
    }

    /// How many requests a second are allowed.
    #[must_use]
    pub fn requests_a_second(&self) -> Option<u64> {
        self.requests.as_ref().map(|bucket| bucket.a_second)
    }

    /// Takes `count` bytes that have arrived, and waits until they were allowed.
    pub async fn bytes(&self, count: usize) {
        if let Some(bucket) = &self.bytes {
            bucket.take(count as u64).await;
        }
    }

    /// Waits until another request is allowed.
    pub async fn request(&self) {
        if let Some(bucket) = &self.requests {
            bucket.take(1).await;
        }
    }
}

impl Bucket {
    async fn take(&self, count: u64) {
        let wait = self.charge(count, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes `count` at the time `now`. Answers with how long to wait.
    fn charge(&self, count: u64, now: Instant) -> Duration {
        #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let cost = Duration::from_secs_f64(count as f64 / self.a_second as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not used for more than a second is lost.
        let start = (*paid).max(now.checked_sub(BURST).unwrap_or(now));
        *paid = start + cost;
        paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(a_second: u64, now: Instant) -> Bucket {
        Bucket {
            a_second,
            paid: Mutex::new(now),
        }
    }

    #[test]
    fn what_is_too_much_waits_for_as_long_as_it_is_too_much() {
        let now = Instant::now();
        let bucket = bucket(100, now);
        assert_eq!(bucket.charge(50, now), Duration::from_millis(500));
        assert_eq!(bucket.charge(50, now), Duration::from_secs(1));
        // Two seconds later all of that is paid for, and a second's worth is saved up.
        let later = now + Duration::from_secs(3);
        assert_eq!(bucket.charge(100, later), Duration::ZERO);
        assert_eq!(bucket.charge(100, later), Duration::from_secs(1));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_a_second() {
        let now = Instant::now();
        let bucket = bucket(10, now);
        let later = now + Duration::from_secs(1000);
        assert_eq!(bucket.charge(10, later), Duration::ZERO);
        assert_eq!(bucket.charge(10, later), Duration::from_secs(1));
    }

    #[test]
    fn no_limit_is_no_wait() {
        let limiter = Limiter::default();
        assert_eq!(limiter.requests_a_second(), None);
        assert_eq!(Limiter::new(None, Some(7)).requests_a_second(), Some(7));
    }
}
