//! What can go wrong with a call.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LxdError {
    /// No connection to the daemon.
    #[error("{peer}: could not connect")]
    Connect {
        /// The daemon.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke in the middle of a call. The daemon re-executes itself when it leaves
    /// a cluster, so for some calls this is expected.
    #[error("{peer}: the connection broke during {call}")]
    Broken {
        /// The daemon.
        peer: String,
        /// The call, such as `GET /1.0`.
        call: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The daemon did not answer in time.
    #[error("{peer}: no answer to {call} for {:.0} s", waited.as_secs_f64())]
    Silent {
        /// The daemon.
        peer: String,
        /// The call.
        call: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The daemon answered with an error.
    #[error("{peer}: {call} failed")]
    Api {
        /// The daemon.
        peer: String,
        /// The call.
        call: String,
        /// The daemon's own words.
        source: ApiError,
    },
    /// The answer is not what the API's documentation says.
    #[error("{peer}: the answer to {call} is not understood ({what})")]
    Answer {
        /// The daemon.
        peer: String,
        /// The call.
        call: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file that was to be sent could not be read.
    #[error("could not read {} to send it", path.display())]
    File {
        /// The file, on this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A background operation failed.
    #[error("{peer}: {call}: the operation failed")]
    Operation {
        /// The daemon.
        peer: String,
        /// The call that began it.
        call: String,
        /// The daemon's own words.
        source: ApiError,
    },
}

/// The daemon's own error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The code, which is an HTTP status.
    pub code: u16,
    /// The daemon's words.
    pub message: String,
}

impl LxdError {
    /// The daemon's own error, where it gave one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api { source, .. } | Self::Operation { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the daemon says that the thing does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(|e| e.code == 404)
    }

    /// Whether the daemon says that the thing exists already: by the code 409, and where it has
    /// another one (LXD 5.0 and Incus 6.0 for profiles, LXD for networks, Incus for projects) in
    /// words.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        const WORDS: [&str; 3] = [
            "already exists",
            "is already created",
            "UNIQUE constraint failed",
        ];
        self.api()
            .is_some_and(|e| e.code == 409 || WORDS.iter().any(|words| e.message.contains(words)))
    }

    /// Whether the way to the daemon is gone, so that there is no use in asking again.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::NotConnected)
    }

    /// Whether the daemon could not be talked to, which says nothing about the call itself.
    #[must_use]
    pub fn is_transport(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Broken { .. } | Self::Silent { .. }
        )
    }
}
