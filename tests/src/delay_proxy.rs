//! A TCP proxy that makes a link longer, and narrower where that is wanted: it holds every byte back
//! for a while, both ways. (A kernel without `netem` cannot do this by itself.)

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What one direction of one connection may hold: enough for 10 GB/s at 25 ms.
const MOST_HELD: usize = 256 * 1024 * 1024;

/// What a link of 1 Gbit/s carries, in bytes a second.
pub const GIGABIT: f64 = 125e6;

const CHUNK: usize = 256 * 1024;

/// How long a byte may wait for its turn on a narrow link.
const QUEUE: Duration = Duration::from_millis(10);

/// A running proxy; it ends when dropped.
pub struct DelayProxy {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl DelayProxy {
    /// Listens on a port of loopback that the system picks, and passes connections on to
    /// `target`. Each byte arrives `delay` after it was sent, so a round trip takes twice that.
    pub async fn start(target: SocketAddr, delay: Duration) -> std::io::Result<Self> {
        Self::over(target, delay, None).await
    }

    /// The same over a link that carries no more than `rate` bytes a second towards whoever
    /// connects, all connections together.
    pub async fn with_rate(
        target: SocketAddr,
        delay: Duration,
        rate: f64,
    ) -> std::io::Result<Self> {
        let free = Mutex::new(Instant::now());
        Self::over(target, delay, Some(Arc::new(Narrow { rate, free }))).await
    }

    async fn over(
        target: SocketAddr,
        delay: Duration,
        narrow: Option<Arc<Narrow>>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let narrow = narrow.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        connect(near, far, delay, narrow);
                    }
                });
            }
        });
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections of a narrow link share.
struct Narrow {
    /// Bytes a second.
    rate: f64,
    /// When everything that was given to it will have passed.
    free: Mutex<Instant>,
}

impl Narrow {
    /// When so many bytes, given to it now, have passed.
    fn pass(&self, count: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(Instant::now()) + Duration::from_secs_f64(count as f64 / self.rate);
        *free
    }
}

fn connect(near: TcpStream, far: TcpStream, delay: Duration, narrow: Option<Arc<Narrow>>) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    direct(near_read, far_write, delay, None);
    direct(far_read, near_write, delay, narrow);
}

/// Passes one direction on until either end closes it.
fn direct(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    narrow: Option<Arc<Narrow>>,
) {
    let (sender, mut held) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    let room = Arc::new(Semaphore::new(MOST_HELD));
    tokio::spawn({
        let room = Arc::clone(&room);
        async move {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                let count = from.read_buf(&mut buffer).await.unwrap_or(0);
                let passed = narrow.as_ref().map(|link| link.pass(count));
                let due = passed.unwrap_or_else(Instant::now) + delay;
                let piece = buffer.split().freeze();
                if count == 0 || sender.send((due, piece)).is_err() {
                    return;
                }
                let Ok(place) = room.acquire_many(count as u32).await else {
                    return;
                };
                place.forget();
                if let Some(passed) = passed {
                    tokio::time::sleep_until(passed - QUEUE).await;
                }
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, piece)) = held.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
            room.add_permits(piece.len());
        }
        let _ = to.shutdown().await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_byte_comes_later_and_in_order() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let echo = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut read, mut write) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        let delay = Duration::from_millis(30);
        let proxy = DelayProxy::start(echo, delay).await.unwrap();
        let (mut read, mut write) = TcpStream::connect(proxy.address())
            .await
            .unwrap()
            .into_split();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let started = Instant::now();
        let writing = tokio::spawn({
            let sent = sent.clone();
            async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            }
        });
        let mut first = [0];
        read.read_exact(&mut first).await.unwrap();
        assert!(started.elapsed() >= delay * 2, "{:?}", started.elapsed());
        let mut received = first.to_vec();
        read.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn connections_share_a_narrow_link() {
        const SIZE: usize = 1_000_000;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let source = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move { stream.write_all(&[7; SIZE]).await });
            }
        });
        let rate = 10e6;
        let proxy = DelayProxy::with_rate(source, Duration::ZERO, rate)
            .await
            .unwrap();
        let started = Instant::now();
        let read = || async {
            let mut all = Vec::new();
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), SIZE);
        };
        tokio::join!(read(), read());
        let least = Duration::from_secs_f64(2.0 * SIZE as f64 / rate);
        assert!(started.elapsed() >= least, "{:?}", started.elapsed());
    }
}
