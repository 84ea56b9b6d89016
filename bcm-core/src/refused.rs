//! What was refused of what an upstream sent, and why.

use serde::{Deserialize, Serialize};

/// How many refused things are named; of further ones only the number is kept.
pub const MAX_NAMED: usize = 1000;

/// One thing that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What it is, as far as it could be told: `repo/name`, or a kernel's name.
    pub subject: String,
    /// Why it was refused.
    pub reason: String,
}
