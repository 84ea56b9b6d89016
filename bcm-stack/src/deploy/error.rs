//! Why a stack could not be brought onto a cluster.

use bcm_core::wait::Timeout;
use bcm_lxd::{LxdError, WaitError};

/// A stack could not be brought onto a cluster, or taken from it. What was done before stays; the same command
/// again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] LxdError),
    /// An operation of the engine did not end well.
    #[error(transparent)]
    Operation(#[from] WaitError),
    /// A step failed.
    #[error("{step}")]
    Step {
        /// The step, in words.
        step: String,
        /// Why.
        source: Box<DeployError>,
    },
    /// A command in an instance failed.
    #[error("{instance}: `{command}` ended with {status}: {tail}")]
    Command {
        /// The instance.
        instance: String,
        /// The command's first words.
        command: String,
        /// Its exit status.
        status: i64,
        /// The last lines that it wrote.
        tail: String,
    },
    /// An instance does not boot.
    #[error("{instance} does not boot")]
    Boot {
        /// The instance.
        instance: String,
        /// What it was waited for, and the end of its console.
        source: LastWords,
    },
    /// A program that does not run in the instance; nothing was changed there.
    #[error("{path} does not run in {instance}; nothing was changed there")]
    Program {
        /// The instance.
        instance: String,
        /// The program.
        path: String,
        /// What it did.
        source: Box<DeployError>,
    },
    /// An instance did not get well after a change; what it had before was put back.
    #[error("{instance} did not get well with the change and was taken back to what it had before{}", if *well { "" } else { ", with which it is not well either" })]
    RolledBack {
        /// The instance.
        instance: String,
        /// Whether it is well again.
        well: bool,
        /// Why.
        source: Box<DeployError>,
    },
    /// An instance did not get well after a change, which could not be taken back.
    #[error(
        "{instance} did not get well with the change, and it could not be taken back: {reason}"
    )]
    NotRolledBack {
        /// The instance.
        instance: String,
        /// Why it could not be taken back.
        reason: String,
        /// Why it is not well.
        source: Box<DeployError>,
    },
    /// Somebody else changed an instance since it was looked at.
    #[error(
        "{instance} was changed by somebody else since it was looked at; nothing was changed there"
    )]
    Meanwhile {
        /// The instance.
        instance: String,
    },
    /// An instance is not well in time.
    #[error("{instance} is not well: {reason}")]
    Unwell {
        /// The instance.
        instance: String,
        /// What is wrong.
        reason: String,
        /// What it was waited for, and the end of its units' journal.
        source: LastWords,
    },
    /// The work was interrupted before this step.
    #[error("interrupted")]
    Interrupted,
}

/// What was waited for, and what an instance wrote last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{timeout}; the end of its {written_to}:\n{text}")]
pub struct LastWords {
    /// What was waited for.
    pub timeout: Timeout,
    /// Where the text was written: its console, or its journal.
    pub written_to: &'static str,
    /// The last lines.
    pub text: String,
}

impl DeployError {
    pub(super) fn at(self, step: &crate::plan::Step) -> Self {
        Self::Step {
            step: step.to_string(),
            source: Box::new(self),
        }
    }
}
