//! An engine's socket on another machine.

use std::path::Path;
use std::sync::Arc;

use bcm_ssh::{ForwardError, ForwardedSocket, Privilege, Remote};

use crate::transport::{Connecting, Transport, UnixSocket};

/// The socket of an engine on a machine that is reached through a [`Remote`]. It keeps the
/// connection to the machine for as long as it is there.
pub struct RemoteSocket {
    near: UnixSocket,
    /// The forwarding ends when this is dropped, so before the connection does.
    _forwarded: ForwardedSocket,
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
            _forwarded: forwarded,
            _remote: Arc::clone(remote),
        })
    }
}

impl Transport for RemoteSocket {
    fn connect(&self) -> Connecting<'_> {
        self.near.connect()
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
}
