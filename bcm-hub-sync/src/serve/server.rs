//! Listeners and connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::body::Tracked;
use super::guard::{Guarded, Requests};
use super::options::{ServeLimits, ServeOptions};
use super::watch::Watch;

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

/// A hub's HTTP server over a published tree. It has no way to change that tree.
#[derive(Debug)]
pub struct HubServer {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    limits: ServeLimits,
    app: Arc<App>,
}

/// Makes a [`HubServer`] look at its tree without waiting for [`ServeOptions::refresh`]: for who
/// publishes in the same process and wants the next request to see it.
#[derive(Debug, Clone)]
pub struct Refresher {
    watch: Arc<Watch>,
}

impl Refresher {
    /// Looks at the tree; when this returns, requests are answered from what is there now.
    pub async fn refresh(&self) {
        self.watch.refresh().await;
    }
}

impl HubServer {
    /// Listens on all addresses and looks at the tree for the first time. A tree that cannot be
    /// read is no reason to fail: the server says so to whoever asks, and tries again.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub async fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        if options.listen.is_empty() {
            return Err(ServeError::NoAddress);
        }
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in &options.listen {
            let bound = listen(address, &options.listen)
                .and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) =
                bound.map_err(|source| ServeError::Listen { address, source })?;
            addresses.push(local);
            listeners.push(listener);
        }
        let app = Arc::new(App::new(&options));
        app.watch.snapshot().await;
        Ok(Self {
            listeners,
            addresses,
            limits: options.limits,
            app,
        })
    }

    /// The addresses that are listened on, with the ports that the system chose, in the order of
    /// [`ServeOptions::listen`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Makes this server look at its tree at once, also while it runs.
    #[must_use]
    pub fn refresher(&self) -> Refresher {
        Refresher {
            watch: Arc::clone(&self.app.watch),
        }
    }

    /// Serves until `cancel`, then lets the answers that are under way end, for at most
    /// [`ServeLimits::shutdown_grace`].
    ///
    /// Cancel safety: dropping the future closes the listeners and all connections at once.
    pub async fn run(self, cancel: CancellationToken) {
        let connections = Arc::new(Connections::default());
        let mut tasks = JoinSet::new();
        let warm =
            Arc::clone(&self.app.checksums).keep_warm(Arc::clone(&self.app.watch), cancel.clone());
        tasks.spawn(warm);
        for listener in self.listeners {
            tasks.spawn(accept(
                listener,
                Arc::clone(&connections),
                Arc::clone(&self.app),
                self.limits.clone(),
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

async fn accept(
    listener: TcpListener,
    connections: Arc<Connections>,
    app: Arc<App>,
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
        let served = serve(stream, Arc::clone(&app), limits.clone(), cancel.clone());
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

async fn serve(
    stream: TcpStream,
    app: Arc<App>,
    limits: ServeLimits,
    cancel: CancellationToken,
) -> hyper::Result<()> {
    // Only delays small answers otherwise; nothing is lost where it cannot be set.
    let _ = stream.set_nodelay(true);
    let requests = Arc::new(Requests::default());
    let service = service_fn(|request| {
        let answering = requests.begin();
        let app = Arc::clone(&app);
        async move {
            let response = app.answer(&request).await;
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

/// Who is connected.
#[derive(Debug, Default)]
struct Connections {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; freed when dropped.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    fn enter(self: &Arc<Self>, peer: IpAddr, limits: &ServeLimits) -> Option<Place> {
        let address = counted_as(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        // On this machine that is mostly a proxy, which speaks for everybody.
        let crowded =
            of_address >= limits.connections_per_address && !peer.to_canonical().is_loopback();
        if counts.all >= limits.connections || crowded {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_address + 1);
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .connections
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// One customer has one IPv4 address, or one /64 network of IPv6.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_freed() {
        let connections = Arc::new(Connections::default());
        let limits = ServeLimits {
            connections: 3,
            connections_per_address: 2,
            ..ServeLimits::default()
        };
        let enter = |address: &str| connections.enter(address.parse().unwrap(), &limits);
        let first = enter("::ffff:192.0.2.1");
        assert!(first.is_some());
        let second = enter("192.0.2.1");
        assert!(second.is_some());
        assert!(enter("192.0.2.1").is_none());
        let other = enter("2001:db8::1");
        assert!(other.is_some());
        assert!(enter("2001:db8:1::1").is_none());
        drop((first, second));
        let same_network = enter("2001:db8::2:3");
        assert!(same_network.is_some());
        assert!(enter("2001:db8::4").is_none());
        drop((other, same_network));
        let proxied = [enter("127.0.0.1"), enter("::1"), enter("127.0.0.1")];
        assert!(proxied.iter().all(Option::is_some));
        assert!(enter("127.0.0.1").is_none());
        drop(proxied);
        assert_eq!(connections.counts.lock().unwrap().by_address.len(), 0);
    }

    #[test]
    fn the_answer_of_a_full_server_is_whole() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
