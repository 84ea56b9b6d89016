//! What can go wrong between a client and a server.

use std::io;
use std::time::Duration;

use crate::zdb::resp::RespError;

/// A request could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection.
    #[error("could not connect to 0-db {host}")]
    Connect {
        /// `host:port`.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A deadline passed.
    #[error(
        "0-db {host} did not answer {command} in {:.1} s (time-out `{setting}`)",
        waited.as_secs_f64()
    )]
    Timeout {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
        /// How long the answer was waited for.
        waited: Duration,
        /// The field of [`ClientOptions`](super::ClientOptions) that ended it.
        setting: &'static str,
    },
    /// The server closed the connection.
    #[error("0-db {host} closed the connection before it answered {command}")]
    Closed {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
    },
    /// The connection broke.
    #[error("lost the connection to 0-db {host} during {command}")]
    Io {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What came is not 0-db's protocol, or more than is allowed.
    #[error("{host} does not answer {command} as a 0-db")]
    Protocol {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
        /// What is wrong with it.
        source: RespError,
    },
    /// The server refuses.
    #[error("0-db {host} refused {command}: {message}")]
    Refused {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
        /// What it says.
        message: String,
    },
    /// The reply is not of the kind that the request has.
    #[error("0-db {host} answered {command} with {reply}")]
    Unexpected {
        /// `host:port`.
        host: String,
        /// The request's name.
        command: &'static str,
        /// What came.
        reply: &'static str,
    },
}

impl ClientError {
    /// Whether another try may end better. It will not where the server understood who wants what
    /// and does not give it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        const FINAL: [&str; 4] = [
            "Namespace not found",
            "Namespace protected and private",
            "Access denied",
            "Password too long",
        ];
        !matches!(self, Self::Refused { message, .. } if FINAL.contains(&message.as_str()))
    }

    /// Whether the server does not keep to the protocol.
    #[must_use]
    pub fn is_protocol(&self) -> bool {
        matches!(self, Self::Protocol { .. } | Self::Unexpected { .. })
    }
}
