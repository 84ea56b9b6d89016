//! A unix socket of another machine, on this one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::bridge::Relay;

/// A unix socket on this machine whose connections end up at one of another machine.
///
/// It is there until this value is dropped or the connection it came from ends, whichever is first.
/// Connections that are open then are cut when the connection to the machine ends.
#[derive(Debug)]
pub struct ForwardedSocket {
    path: PathBuf,
    /// Whether the file is this value's to remove.
    ours: bool,
    /// Whether something of BCM's listens there, not the daemon itself.
    leads_on: bool,
    _relay: Option<Relay>,
}

impl ForwardedSocket {
    /// A socket that can be connected to as it is. Dropping the value leaves it alone. For
    /// [`Remote`](crate::Remote)s of a test's own, too.
    #[must_use]
    pub fn borrowed(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ours: false,
            leads_on: false,
            _relay: None,
        }
    }

    /// The socket of a relay on this machine, which removes it itself.
    pub(crate) fn relayed(relay: Relay) -> Self {
        Self {
            path: relay.socket.clone(),
            ours: false,
            leads_on: true,
            _relay: Some(relay),
        }
    }

    /// A socket that ssh listens on, and what keeps its other end.
    pub(crate) fn forwarded(path: PathBuf, relay: Option<Relay>) -> Self {
        Self {
            path,
            ours: true,
            leads_on: true,
            _relay: relay,
        }
    }

    /// Whether a failure to connect means that the way to the other end is gone, and does not come
    /// back. Where nothing stands between, it may be a daemon that restarts.
    #[must_use]
    pub fn is_gone(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        self.leads_on && matches!(error.kind(), ConnectionRefused | NotFound)
    }

    /// Where to connect.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ForwardedSocket {
    fn drop(&mut self) {
        if self.ours {
            // It may have gone with its connection.
            let _ = fs::remove_file(&self.path);
        }
    }
}
