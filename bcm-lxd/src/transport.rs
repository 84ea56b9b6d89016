//! How the API's socket is reached.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// A byte stream to the daemon.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A stream that is being opened.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send + 'a>>;

/// Opens byte streams to one daemon. A request uses one stream of its own: local connections cost
/// next to nothing, and a request that hangs then holds up no other.
pub trait Transport: Send + Sync {
    /// Opens a stream. An error of the kind [`NotConnected`](io::ErrorKind::NotConnected) says that
    /// this transport opens no more of them.
    fn connect(&self) -> Connecting<'_>;

    /// What errors call the other end, such as the socket's path or the host's name.
    fn peer(&self) -> &str;
}

/// A unix socket on this machine: the daemon's own, or the near end of a forwarding.
#[derive(Debug, Clone)]
pub struct UnixSocket {
    path: PathBuf,
    peer: String,
}

impl UnixSocket {
    /// The socket at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            peer: path.display().to_string(),
            path,
        }
    }

    /// The same socket, called `peer` in errors.
    #[must_use]
    pub fn named(mut self, peer: impl Into<String>) -> Self {
        self.peer = peer.into();
        self
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Transport for UnixSocket {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = UnixStream::connect(&self.path).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }

    fn peer(&self) -> &str {
        &self.peer
    }
}
