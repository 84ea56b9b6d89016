//! An engine's socket on another machine.

use std::path::Path;

use bcm_ssh::{ForwardError, ForwardedSocket, Privilege, Remote};

use crate::transport::{Connecting, Transport, UnixSocket};

/// The socket of an engine on a machine that is reached through a [`Remote`].
#[derive(Debug)]
pub struct RemoteSocket {
    near: UnixSocket,
    /// The forwarding ends when this is dropped.
    _forwarded: ForwardedSocket,
}

impl RemoteSocket {
    /// Forwards the socket `path` of `remote` to this machine; as root, where the user who is
    /// logged in there may not open it.
    ///
    /// # Errors
    /// The forwarding was refused.
    pub async fn open(
        remote: &dyn Remote,
        path: &Path,
        privilege: Privilege,
    ) -> Result<Self, ForwardError> {
        let forwarded = remote.forward_unix(path, privilege).await?;
        Ok(Self {
            near: UnixSocket::new(forwarded.path()).named(remote.host()),
            _forwarded: forwarded,
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
