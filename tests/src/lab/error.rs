//! What can go wrong in the laboratory.

use std::{io, path::PathBuf, time::Duration};

/// Why the lab could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The host lacks something; `cargo lab doctor` lists the same.
    #[error("needs {}", .0.join(", "))]
    Needs(Vec<String>),
    /// A file or folder could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, such as `write`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{command} ended with {status}: {output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A program did not end in time.
    #[error("{command} did not end within {} s: {output}", limit.as_secs())]
    Slow {
        /// The command line.
        command: String,
        /// The deadline.
        limit: Duration,
        /// The end of what it wrote.
        output: String,
    },
    /// Something was waited for and did not come.
    #[error(transparent)]
    Timeout(#[from] bcm_core::wait::Timeout),
    /// A program's answer was not understood.
    #[error("cannot understand the answer of {what}: {answer}")]
    Answer {
        /// Whose answer.
        what: String,
        /// The answer, or its beginning.
        answer: String,
    },
    /// The supervisor gave up.
    #[error("the lab {id} did not start: {reason}")]
    Supervisor {
        /// The lab.
        id: String,
        /// What the supervisor said last.
        reason: String,
    },
    /// There is no lab, or none of that name.
    #[error("{0}")]
    NoLab(String),
    /// No network of 10.0.0.0/8 is free.
    #[error("every candidate network in 10.0.0.0/8 overlaps a route of this host")]
    NoSubnet,
}

impl LabError {
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
