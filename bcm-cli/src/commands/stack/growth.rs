//! How fast replicas' room is used: what they held when this user first looked, kept in the state folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::commands::Context;

/// A rate over less than this says nothing.
const SHORTEST: u64 = 600;

/// A rate over more than this says what was, not what is.
const LONGEST: u64 = 7 * 24 * 3600;

/// Nobody plans further than that.
const FURTHEST: u64 = 10 * 365 * 24 * 3600;

/// What was seen of the replicas of one cluster.
#[derive(Debug, Default)]
pub(super) struct Growth {
    path: PathBuf,
    seen: BTreeMap<String, Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    /// Seconds since 1970.
    at: u64,
    /// Bytes.
    used: u64,
}

impl Growth {
    /// What was seen of `cluster` before. A file that cannot be read counts as none.
    pub(super) fn load(context: &Context, cluster: &str) -> Self {
        let folder = context.settings.environment().state_folder();
        let path = folder.join(format!("growth-{cluster}.json"));
        let text = std::fs::read(&path).unwrap_or_default();
        Self {
            seen: serde_json::from_slice(&text).unwrap_or_default(),
            path,
        }
    }

    /// In how many seconds `instance` has no room any more, where that can be said.
    pub(super) fn full_in(&mut self, instance: &str, used: u64, left: u64) -> Option<u64> {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        self.full_in_at(Sample { at, used }, instance, left)
    }

    fn full_in_at(&mut self, now: Sample, instance: &str, left: u64) -> Option<u64> {
        let first = *self.seen.entry(instance.to_owned()).or_insert(now);
        let age = now.at.saturating_sub(first.at);
        if age > LONGEST || now.used < first.used {
            self.seen.insert(instance.to_owned(), now);
        }
        let grown = now.used.saturating_sub(first.used);
        if age < SHORTEST || grown == 0 {
            return None;
        }
        let seconds = u64::try_from(u128::from(left) * u128::from(age) / u128::from(grown)).ok()?;
        (seconds <= FURTHEST).then_some(seconds)
    }

    /// Keeps what was seen. Without it, the next look begins anew.
    pub(super) fn save(&self, context: &Context) {
        let text = serde_json::to_vec(&self.seen).unwrap_or_default();
        let folder = self.path.parent().map(std::fs::create_dir_all);
        if let Some(Err(error)) = folder {
            context
                .reporter
                .warn(&format!("{}: {error}", self.path.display()));
            return;
        }
        if let Err(error) = bcm_core::atomic_file::write(&self.path, &text, 0o600) {
            context.reporter.warn(&bcm_core::cause::chain(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_lasts_as_long_as_the_rate_says() {
        let mut growth = Growth::default();
        let at = |at, used| Sample { at, used };
        assert_eq!(growth.full_in_at(at(0, 1000), "a", 5000), None);
        assert_eq!(
            growth.full_in_at(at(60, 2000), "a", 5000),
            None,
            "too early"
        );
        assert_eq!(growth.full_in_at(at(1000, 2000), "a", 5000), Some(5000));
        assert_eq!(
            growth.full_in_at(at(2000, 1000), "a", 5000),
            None,
            "it does not grow"
        );
        assert_eq!(
            growth.full_in_at(at(2100, 500), "a", 5000),
            None,
            "it got smaller"
        );
        assert_eq!(growth.full_in_at(at(3100, 1500), "a", 100), Some(100));
        let week = LONGEST;
        assert!(growth.full_in_at(at(3100 + week, 9500), "a", 100).is_some());
        assert_eq!(growth.seen["a"], at(3100 + week, 9500), "begins anew");
    }
}
