//! The error of everything that waits: what for, how long, and the last thing it saw.

use std::time::Duration;

/// A deadline passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {:.1} s for {what}; last seen: {last_seen}", waited.as_secs_f64())]
pub struct Timeout {
    /// What did not come.
    pub what: String,
    /// How long it was waited for.
    pub waited: Duration,
    /// The last state that was seen.
    pub last_seen: String,
}
