//! A TCP proxy that makes a link longer: it holds every byte back for a while, both ways, and
//! does not limit how many pass. (A kernel without `netem` cannot do this by itself.)

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
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

const CHUNK: usize = 256 * 1024;

/// A running proxy; it ends when dropped.
pub struct DelayProxy {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl DelayProxy {
    /// Listens on a port of loopback that the system picks, and passes connections on to
    /// `target`. Each byte arrives `delay` after it was sent, so a round trip takes twice that.
    pub async fn start(target: SocketAddr, delay: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        connect(near, far, delay);
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

fn connect(near: TcpStream, far: TcpStream, delay: Duration) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    direct(near_read, far_write, delay);
    direct(far_read, near_write, delay);
}

/// Passes one direction on until either end closes it.
fn direct(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut held) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    let room = Arc::new(Semaphore::new(MOST_HELD));
    tokio::spawn({
        let room = Arc::clone(&room);
        async move {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                let count = from.read_buf(&mut buffer).await.unwrap_or(0);
                let due = Instant::now() + delay;
                let piece = buffer.split().freeze();
                if count == 0 || sender.send((due, piece)).is_err() {
                    return;
                }
                let Ok(place) = room.acquire_many(count as u32).await else {
                    return;
                };
                place.forget();
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
}
