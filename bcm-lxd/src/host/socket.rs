//! An engine's socket on another machine.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bcm_ssh::{ForwardError, ForwardedSocket, Privilege, Remote};

use crate::transport::{Connecting, Transport, UnixSocket};

/// The socket of an engine on a machine that is reached through a [`Remote`]. It keeps the
/// connection to the machine for as long as it is there.
pub struct RemoteSocket {
    near: UnixSocket,
    /// The forwarding ends when this is dropped, so before the connection does.
    forwarded: ForwardedSocket,
    _remote: Arc<dyn Remote>,
}

impl std::fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RemoteSocket").field(&self.near).finish()
    }
}

impl RemoteSocket {
    /// Forwards the socket `path` of `remote` to this machine; as root, where the user who is
    /// logged in there may not open it.
    ///
    /// # Errors
    /// The forwarding was refused.
    pub async fn open(
        remote: &Arc<dyn Remote>,
        path: &Path,
        privilege: Privilege,
    ) -> Result<Self, ForwardError> {
        let forwarded = remote.forward_unix(path, privilege).await?;
        Ok(Self {
            near: UnixSocket::new(forwarded.path()).named(remote.host()),
            forwarded,
            _remote: Arc::clone(remote),
        })
    }
}

/// Why no stream can be opened any more.
const GONE: &str = "the connection to the machine has ended";

impl Transport for RemoteSocket {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            self.near.connect().await.map_err(|error| {
                if self.forwarded.is_gone(&error) {
                    io::Error::new(io::ErrorKind::NotConnected, GONE)
                } else {
                    error
                }
            })
        })
    }

    fn peer(&self) -> &str {
        self.near.peer()
    }
}

#[cfg(test)]
mod tests {
    use bcm_ssh::Local;

    use super::*;

    #[tokio::test]
    async fn the_connection_stays_for_as_long_as_its_socket_is_used() {
        let remote: Arc<dyn Remote> = Arc::new(Local::new());
        let connection = Arc::downgrade(&remote);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _engine = tokio::net::UnixListener::bind(&path).unwrap();
        let socket = RemoteSocket::open(&remote, &path, Privilege::User).await;
        drop(remote);
        let socket = socket.unwrap();
        assert!(connection.upgrade().is_some());
        drop(socket);
        assert!(connection.upgrade().is_none());
    }

    #[tokio::test]
    async fn a_daemon_of_this_machine_may_come_back() {
        let remote: Arc<dyn Remote> = Arc::new(Local::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let engine = tokio::net::UnixListener::bind(&path).unwrap();
        let socket = RemoteSocket::open(&remote, &path, Privilege::User).await;
        drop(engine);
        let error = socket.unwrap().connect().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
