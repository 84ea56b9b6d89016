//! Listeners and connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::body::{Content, Tracked};
use super::guard::{Guarded, Requests};
use super::limits::ServeLimits;
use super::places::Connections;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// The most headers that a request may have.
const MAX_HEADERS: usize = 64;
/// The smallest buffer that the HTTP parser takes.
const SMALLEST_BUFFER: usize = 8192;
/// How long to wait when no connection can be accepted, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is sent where there is no room for another connection.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Access-Control-Allow-Origin: *\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n\
    {\"status\": \"error\", \"message\": \"too many connections\"}\n";

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no address to listen on.
    #[error("no address to listen on was given")]
    NoAddress,
}

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request, of which the head was read. Who reads its body bounds how much of it and for
    /// how long: nothing here does. Who does not read it lets go of it.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Content>> + Send;
}

/// Open listeners, before anything is answered.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Listeners {
    /// Listens on all addresses. An IPv6 address beside an IPv4 one with the same port takes IPv6
    /// only; `[::]` alone takes both where the system does so. Port 0 lets the system choose.
    ///
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub fn bind(all: &[SocketAddr]) -> Result<Self, ServeError> {
        if all.is_empty() {
            return Err(ServeError::NoAddress);
        }
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in all {
            let bound =
                listen(address, all).and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) =
                bound.map_err(|source| ServeError::Listen { address, source })?;
            addresses.push(local);
            listeners.push(listener);
        }
        Ok(Self {
            listeners,
            addresses,
        })
    }

    /// The addresses that are listened on, with the ports that the system chose, in the order that
    /// they were given in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `cancel`, then lets the answers that are under way end, for at most
    /// [`ServeLimits::shutdown_grace`].
    ///
    /// Cancel safety: dropping the future closes the listeners and all connections at once.
    pub async fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        limits: ServeLimits,
        cancel: CancellationToken,
    ) {
        let connections = Arc::new(Connections::default());
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(
                listener,
                Arc::clone(&connections),
                Arc::clone(&handler),
                limits.clone(),
                cancel.clone(),
            ));
        }
        // The accepting tasks own their connections and outlive them, within the grace.
        while tasks.join_next().await.is_some() {}
    }
}

fn listen(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        let beside_ipv4 = address.port() != 0
            && all
                .iter()
                .any(|other| other.is_ipv4() && other.port() == address.port());
        if beside_ipv4 {
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
        }
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept<H: Handler>(
    listener: TcpListener,
    connections: Arc<Connections>,
    handler: Arc<H>,
    limits: ServeLimits,
    cancel: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = sleep(ACCEPT_PAUSE) => continue,
                }
            }
        };
        let Some(place) = connections.enter(peer.ip(), &limits) else {
            // Fits the empty send buffer, so there is nothing to wait for.
            let _ = stream.try_write(FULL);
            continue;
        };
        let served = serve(stream, Arc::clone(&handler), limits.clone(), cancel.clone());
        tasks.spawn(async move {
            let _place = place;
            if let Err(error) = served.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(limits.shutdown_grace, all).await.is_err() {
        tracing::warn!(
            left = tasks.len(),
            "connections were cut off by the shutdown"
        );
        tasks.shutdown().await;
    }
}

async fn serve<H: Handler>(
    stream: TcpStream,
    handler: Arc<H>,
    limits: ServeLimits,
    cancel: CancellationToken,
) -> hyper::Result<()> {
    // Only delays small answers otherwise; nothing is lost where it cannot be set.
    let _ = stream.set_nodelay(true);
    let requests = Arc::new(Requests::default());
    let service = service_fn(|request| {
        let answering = requests.begin();
        let handler = Arc::clone(&handler);
        async move {
            let response = handler.answer(request).await;
            Ok::<_, Infallible>(response.map(|content| Tracked::new(content, answering)))
        }
    });
    let io = Guarded::new(
        stream,
        Arc::clone(&requests),
        limits.head_timeout,
        limits.stall_timeout,
    );
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Hyper starts this one when it starts to wait for a request, so it is the idle time-out.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result,
        () = cancel.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_full_server_is_whole() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
