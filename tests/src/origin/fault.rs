//! What a test can make the origin do wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::answer::Answer;

/// Something the fake hub does instead of giving the right answer.
#[derive(Clone)]
pub enum HttpFault {
    /// Gives another answer.
    Answer(Answer),
    /// Gives the right answer with its JSON changed.
    Json(Arc<dyn Fn(&mut Value) + Send + Sync>),
    /// Announces the whole body, sends this many bytes of it and closes the connection.
    Truncated(usize),
    /// Announces this `Content-Length` whatever the body has, sends the body and closes.
    WrongLength(u64),
    /// Takes the request and never answers.
    Silent,
    /// Sends the head and never the body.
    SilentBody,
    /// Sends the body in pieces of this many bytes with a pause after each.
    Drip(usize, Duration),
    /// Closes the connection without a word.
    Hangup,
    /// Answers 200 and a JSON array that never ends.
    EndlessJson,
}

impl HttpFault {
    /// A page with this status.
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer::new(
            status,
            "text/html",
            "<h1>Something else</h1>\n",
        ))
    }

    /// Status 200 with this body.
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::Answer(Answer::new(200, "application/octet-stream", body))
    }

    /// A redirect to `location`.
    pub fn redirect(location: &str) -> Self {
        let mut answer = Answer::new(302, "text/html", "moved\n");
        answer.headers.push(("Location".into(), location.into()));
        Self::Answer(answer)
    }

    /// The right answer with its JSON changed by `change`.
    pub fn json(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Json(Arc::new(change))
    }
}

impl fmt::Debug for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "Answer({})", answer.status),
            Self::Json(_) => f.write_str("Json"),
            Self::Truncated(n) => write!(f, "Truncated({n})"),
            Self::WrongLength(n) => write!(f, "WrongLength({n})"),
            Self::Silent => f.write_str("Silent"),
            Self::SilentBody => f.write_str("SilentBody"),
            Self::Drip(n, pause) => write!(f, "Drip({n}, {pause:?})"),
            Self::Hangup => f.write_str("Hangup"),
            Self::EndlessJson => f.write_str("EndlessJson"),
        }
    }
}

/// Which requests a fault is for.
#[derive(Debug)]
pub(super) struct HttpRule {
    /// A decoded path; a `*` at its start or end stands for anything.
    pub(super) pattern: String,
    /// How often it still happens.
    pub(super) left: u64,
    pub(super) fault: HttpFault,
}

impl HttpRule {
    pub(super) fn matches(&self, path: &str) -> bool {
        self.left > 0
            && match (
                self.pattern.strip_prefix('*'),
                self.pattern.strip_suffix('*'),
            ) {
                (Some(end), _) => path.ends_with(end),
                (None, Some(start)) => path.starts_with(start),
                (None, None) => path == self.pattern,
            }
    }
}

/// Something the fake 0-db does instead of giving a block.
#[derive(Debug, Clone)]
pub enum BlockFault {
    /// Gives these bytes.
    Bytes(Bytes),
    /// Says that there is no such key.
    Absent,
    /// Announces a bulk string of this many bytes and sends zeros.
    Oversize(u64),
    /// Sends bytes that are not RESP.
    Garbage,
    /// Answers with this error.
    Error(String),
    /// Never answers this request, nor any that follows on the connection.
    Stall,
    /// Closes the connection in the middle of the payload.
    Cut,
}
