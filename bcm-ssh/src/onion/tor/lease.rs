//! The side of those who use Tor.

use std::{io, time::Duration};

use bcm_core::lock::FolderLock;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{Instant, sleep, timeout_at},
};

use super::{OwnTor, TorError};

/// How often a keeper that was just started is looked for.
const POLL: Duration = Duration::from_millis(50);

/// After this long without one, another is started: the one before may have been ending just then.
const AGAIN: Duration = Duration::from_secs(5);

/// Tor runs, and goes on until this is dropped, and a while longer.
#[derive(Debug)]
pub struct Lease {
    _stream: UnixStream,
}

/// Waits until Tor is ready. Where none runs, `start` has to start [`keep`](super::keep) in a process
/// that outlives this one. `say` is told how far it is.
///
/// # Cancel safety
/// Dropping the future gives up the wait; a Tor that was started ends by itself later.
///
/// # Errors
/// See [`TorError`].
pub async fn lease(
    tor: &OwnTor,
    start: impl Fn() -> io::Result<()>,
    limit: Duration,
    say: impl Fn(&str),
) -> Result<Lease, TorError> {
    tor.check()?;
    let deadline = Instant::now() + limit;
    let mut started: Option<Instant> = None;
    let mut last_seen = "nothing".to_owned();
    loop {
        if let Ok(stream) = UnixStream::connect(tor.lease_socket()).await {
            let waiting = wait_ready(stream, &say, &mut last_seen);
            match timeout_at(deadline, waiting).await {
                Ok(Some(outcome)) => return outcome.map(|stream| Lease { _stream: stream }),
                // It was about to end.
                Ok(None) => {}
                Err(_) => return Err(TorError::Late { limit, last_seen }),
            }
        }
        if started.is_none_or(|at| at.elapsed() > AGAIN) {
            start().map_err(TorError::Keeper)?;
            started = Some(Instant::now());
        }
        if Instant::now() >= deadline {
            return Err(TorError::Late { limit, last_seen });
        }
        sleep(POLL).await;
    }
}

/// `None` when the keeper hung up before it said how Tor is.
async fn wait_ready(
    stream: UnixStream,
    say: &impl Fn(&str),
    last_seen: &mut String,
) -> Option<Result<UnixStream, TorError>> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(' ') {
            Some(("boot", text)) => {
                say(text);
                text.clone_into(last_seen);
            }
            Some(("failed", text)) => {
                return Some(Err(TorError::Ended(text.replace('\t', "\n"))));
            }
            _ if line == "ready\n" => return Some(Ok(reader.into_inner())),
            _ => {}
        }
    }
}

/// Ends a running Tor and what keeps it, whoever uses it. Waits until it is gone, ten seconds at most.
pub async fn stop(tor: &OwnTor) {
    let mut stream = UnixStream::connect(tor.lease_socket()).await.ok();
    if let Some(stream) = &mut stream {
        // One that cannot be told is about to end. It listens as long as the stream is open.
        let _ = stream.write_all(b"stop\n").await;
    }
    // It is held until Tor has ended, also by a keeper that ends for another reason.
    let until = Instant::now() + Duration::from_secs(10);
    while FolderLock::is_held(&tor.lock()) && Instant::now() < until {
        sleep(POLL).await;
    }
}
