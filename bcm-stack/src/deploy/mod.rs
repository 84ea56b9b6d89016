//! Brings a stack onto a cluster, and looks after it there.
//!
//! What is there is looked at ([`observe`]), compared ([`plan`](crate::plan::plan)), and changed step by step
//! ([`apply`]), a replica after the other. Nothing about it is kept on the operator's machine.

mod apply;
mod command;
mod deliver;
mod error;
mod health;
mod observe;
mod remove;
mod report;
#[cfg(test)]
mod scripts;

pub use self::apply::{ApplyOptions, Done, apply};
pub use self::command::{attempt, run};
pub use self::error::{DeployError, LastWords};
pub use self::health::{State, health};
pub use self::observe::{Seen, observe};
pub use self::remove::{Removed, Stopped, removal, remove, stop};
pub use self::report::{Report, report};
