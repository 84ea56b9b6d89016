//! When a mirror deletes what its upstream does not have any more: after a time of grace, and not when
//! so much is missing that something else must be wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time of grace, looked at from one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// How long something is kept after it was first missed; `None` keeps it for ever.
    pub delete_after: Option<Duration>,
    /// The moment, in seconds since 1970.
    pub now: i64,
}

impl Grace {
    /// Since when something is missed, in seconds since 1970: since now, where nothing is `known` of
    /// it. A time in the future was left by a clock that was wrong then, or is now; it counts as now.
    #[must_use]
    pub fn since(self, known: Option<i64>) -> i64 {
        known.unwrap_or(self.now).min(self.now)
    }

    /// Whether what is missed `since` may be deleted.
    #[must_use]
    pub fn is_over(self, since: i64) -> bool {
        let age = u64::try_from(self.now.saturating_sub(since)).unwrap_or(0);
        self.delete_after
            .is_some_and(|after| age >= after.as_secs())
    }
}

/// Why nothing is deleted: too much is missing to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "{missing} of the {held} held here are not upstream any more; that is more than max-delete \
     ({max_delete}) allows, so nothing is deleted"
)]
pub struct Guard {
    /// How many of those that are held here upstream does not have.
    pub missing: u64,
    /// How many are held.
    pub held: u64,
    /// The share that may be missing, from 0 to 1.
    pub max_delete: f64,
}

impl Guard {
    /// Looks whether `missing` of `held` are too many. A single one never is, unless it was the last.
    #[must_use]
    pub fn check(missing: u64, held: u64, max_delete: f64) -> Option<Self> {
        #[allow(clippy::cast_precision_loss, reason = "far from 2^52 of anything")]
        let over = missing as f64 > max_delete * held as f64;
        let too_many = over && (missing > 1 || missing == held);
        too_many.then_some(Self {
            missing,
            held,
            max_delete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_grace_ends_by_the_clock_of_now() {
        let grace = |seconds: Option<u64>| Grace {
            delete_after: seconds.map(Duration::from_secs),
            now: 1000,
        };
        let day = grace(Some(100));
        assert!(day.is_over(900) && !day.is_over(901));
        assert_eq!(
            (day.since(None), day.since(Some(7)), day.since(Some(5000))),
            (1000, 7, 1000)
        );
        assert!(!day.is_over(i64::MAX) && day.is_over(i64::MIN));
        assert!(!grace(None).is_over(i64::MIN));
        assert!(grace(Some(0)).is_over(1000));
    }

    #[test]
    fn one_may_always_go_unless_it_was_the_last() {
        let refused = |missing, held, most| Guard::check(missing, held, most).is_some();
        assert!(!refused(0, 0, 0.2) && !refused(0, 5, 0.0));
        assert!(!refused(1, 2, 0.2) && refused(1, 1, 0.2));
        assert!(!refused(2, 10, 0.2) && refused(3, 10, 0.2));
        assert!(!refused(10, 10, 1.0));
    }
}
