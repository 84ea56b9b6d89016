//! A server of 0-db's protocol over a [`BlockStore`], for reading.
//!
//! It answers as a 0-db 2.0.7 does to a client that is not logged in, on a public namespace with
//! a password. The administrator's password is one that nobody knows, so there is no way from
//! the network into the store.
//!
//! It differs in two ways that no reader depends on: a `WAIT` holds back the answers to requests
//! that follow it in the same pipeline, and a cursor of this server means nothing to a 0-db.

mod answer;
mod connection;
mod info;
mod output;
mod watch;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use self::info::Counters;
use self::watch::StoreWatch;
use super::address::{DEFAULT_NAMESPACE, DEFAULT_PORT};
use super::resp::RequestLimits;
use crate::store::BlockStore;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How many clients are told at the same time that there is no room for them; others are closed
/// without a word.
const MAX_REFUSALS: usize = 64;

/// How a [`ZdbServer`] listens and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZdbServerOptions {
    /// Where to listen. `[::]` takes IPv4 as well, unless an IPv4 address with the same port is
    /// listed. Port 0 lets the system choose. Default `0.0.0.0:9900`.
    pub listen: Vec<SocketAddr>,
    /// The name of the one namespace. Default `default`.
    pub namespace: String,
    /// How many clients at once; more are refused with a reason. Default 1,024.
    pub connections: usize,
    /// How long a client may stay silent between two requests. Default 15 min: clients keep
    /// connections in pools.
    pub idle: Duration,
    /// How long a request may take to arrive from its first byte. Default 60 s.
    pub request: Duration,
    /// How long a client may take none of what it is sent. Default 30 s. Ten times this is the
    /// limit for up to 1 MiB (or one block) of answers as a whole.
    pub write: Duration,
    /// How long the answers that are under way may take to end when the server is stopped.
    /// Default 5 s.
    pub grace: Duration,
    /// What is taken of a request.
    pub limits: RequestLimits,
    /// The folder whose file system's free space is told by `NSINFO`; left out where `None`.
    /// Default `None`.
    pub free_space_of: Option<PathBuf>,
}

impl Default for ZdbServerOptions {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into()],
            namespace: DEFAULT_NAMESPACE.to_owned(),
            connections: 1024,
            idle: Duration::from_secs(15 * 60),
            request: Duration::from_secs(60),
            write: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            limits: RequestLimits::default(),
            free_space_of: None,
        }
    }
}

/// The server could not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is no address to listen on.
    #[error("the 0-db server was given no address to listen on")]
    NoAddress,
    /// An address cannot be listened on.
    #[error("could not listen on {address} for the 0-db protocol")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What all connections share.
struct Shared {
    store: Arc<dyn BlockStore>,
    options: ZdbServerOptions,
    counters: Counters,
    watch: StoreWatch,
}

/// A server that listens. Call [`ZdbServer::run`] to serve.
pub struct ZdbServer {
    listeners: Vec<TcpListener>,
    shared: Arc<Shared>,
}

impl ZdbServer {
    /// Listens on all of `options.listen`. Has to be called within a Tokio runtime.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub async fn bind(
        options: ZdbServerOptions,
        store: Arc<dyn BlockStore>,
    ) -> Result<Self, ServerError> {
        if options.listen.is_empty() {
            return Err(ServerError::NoAddress);
        }
        let listeners = options
            .listen
            .iter()
            .map(|address| {
                let address = *address;
                listen(address, &options.listen)
                    .map_err(|source| ServerError::Listen { address, source })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            listeners,
            shared: Arc::new(Shared {
                watch: StoreWatch::new(Arc::clone(&store)),
                store,
                options,
                counters: Counters::new(),
            }),
        })
    }

    /// The addresses that it listens on, in the order of the options.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves until `cancel` is cancelled; then ends the answers that are under way and returns.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { listeners, shared } = self;
        let room = Arc::new(Semaphore::new(shared.options.connections));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let (shared, room, refusals) = (shared.clone(), room.clone(), refusals.clone());
            let cancel = cancel.clone();
            accepting.spawn(accept(listener, shared, room, refusals, cancel));
        }
        let mut watching = JoinSet::new();
        watching.spawn({
            let shared = shared.clone();
            async move { shared.watch.run().await }
        });
        let mut connections = JoinSet::new();
        while let Some(accepted) = accepting.join_next().await {
            if let Ok(mut open) = accepted {
                connections.spawn(async move { while open.join_next().await.is_some() {} });
            }
        }
        // Dropping the sets aborts what has not ended by itself in time.
        let ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(shared.options.grace, ended).await;
    }
}

fn listen(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        let also_ipv4 = all
            .iter()
            .any(|other| other.is_ipv4() && other.port() == address.port());
        rustix::net::sockopt::set_ipv6_v6only(&socket, also_ipv4)?;
        socket
    };
    // A restarted server must not wait for connections of the one before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until cancelled; returns the connections that are still open.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    cancel: CancellationToken,
) -> JoinSet<()> {
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = cancel.cancelled() => return open,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Mostly too many open files: that passes when clients leave.
                tracing::warn!(%error, "could not accept a 0-db client");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(place) => {
                shared.counters.client();
                let connection = Connection::new(stream, Arc::clone(&shared));
                let cancel = cancel.clone();
                open.spawn(async move {
                    connection.serve(cancel).await;
                    drop(place);
                });
            }
            Err(_) => {
                if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
                    open.spawn(async move {
                        refuse(stream).await;
                        drop(place);
                    });
                }
            }
        }
    }
}

/// Says why, and waits a moment for the client to read it: closing a connection on which
/// something has arrived throws away what was sent.
async fn refuse(mut stream: TcpStream) {
    let _ = stream.try_write(b"-Too many connections, try again later\r\n");
    let _ = rustix::net::shutdown(&stream, rustix::net::Shutdown::Write);
    let mut rest = [0; 512];
    let until_closed = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(Duration::from_millis(500), until_closed).await;
}
