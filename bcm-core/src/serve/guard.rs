//! A connection that gives up on clients that hold it without using it.
//!
//! Hyper's own timer covers the time between two requests. It does not tell a client that is
//! silent from one that sends its request a byte at a time, nor does it see one that stops reading
//! its answer; this does.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// The requests of a connection: how many have begun, how many answers have been handed over.
#[derive(Debug, Default)]
pub(super) struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Requests {
    /// Counts a request, whose answer ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }
}

/// An answer that is under way.
#[derive(Debug)]
pub(super) struct Answering(Arc<Requests>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A deadline that is only there while something is waited for.
#[derive(Debug)]
struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    running: bool,
    error: &'static str,
}

impl Deadline {
    fn new(after: Duration, error: &'static str) -> Self {
        Self {
            after,
            timer: None,
            running: false,
            error,
        }
    }

    fn start(&mut self) {
        if self.running {
            return;
        }
        self.running = true;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + self.after),
            None => self.timer = Some(Box::pin(sleep(self.after))),
        }
    }

    fn stop(&mut self) {
        self.running = false;
    }

    /// Ready, with the error, once it has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.timer {
            Some(timer) if self.running => timer
                .as_mut()
                .poll(cx)
                .map(|()| io::Error::new(io::ErrorKind::TimedOut, self.error)),
            _ => Poll::Pending,
        }
    }
}

/// A TCP connection with deadlines.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    requests: Arc<Requests>,
    /// The requests that had begun when the head that is being read began.
    begun: u64,
    head: Deadline,
    stall: Deadline,
}

impl Guarded {
    pub(super) fn new(
        stream: TcpStream,
        requests: Arc<Requests>,
        head: Duration,
        stall: Duration,
    ) -> Self {
        Self {
            stream,
            requests,
            begun: 0,
            head: Deadline::new(head, "the request's head did not end in time"),
            stall: Deadline::new(stall, "the client stopped reading its answer"),
        }
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall.stop();
            return result;
        }
        self.stall.start();
        self.stall.poll(cx).map(Err)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let begun = this.requests.begun.load(Ordering::Relaxed);
        if begun != this.begun {
            this.begun = begun;
            this.head.stop();
        }
        // What comes while an answer is under way is the next request, which is not read yet.
        let answering = begun != this.requests.ended.load(Ordering::Relaxed);
        if result.is_ready() && buffer.filled().len() > before && !answering {
            this.head.start();
        }
        if result.is_pending()
            && !answering
            && let Poll::Ready(error) = this.head.poll(cx)
        {
            return Poll::Ready(Err(error));
        }
        result
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
