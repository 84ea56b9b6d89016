//! One client: reads requests, does them in order, sends the answers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::answer::{Session, Step};
use super::output::Output;
use crate::zdb::command::{self, Command};
use crate::zdb::resp::{RequestDecoder, RespError, write_error, write_status};

/// What is read at once from a client that asks for little, in bytes.
const SMALL_READ: usize = 4 * 1024;

/// The most that is read at once, in bytes.
const LARGE_READ: usize = 64 * 1024;

/// How many steps are taken from what has arrived before they are done.
const MAX_STEPS: usize = 4096;

/// Answers are sent when there are this many bytes of them.
const SEND_AT: usize = 1024 * 1024;

/// How many steps are done on end.
const STEPS_AT_ONCE: usize = 1024;

pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    decoder: RequestDecoder,
    input: BytesMut,
    work: Work,
}

/// What is to be done and what is to be sent: the part of a connection that goes to a blocking
/// thread.
#[derive(Default)]
struct Work {
    steps: VecDeque<Step>,
    output: Output,
    session: Session,
}

impl Work {
    /// Does up to `most` steps, until there is enough to send or something to wait for.
    fn advance(&mut self, shared: &Shared, most: usize) {
        for _ in 0..most {
            match self.steps.pop_front() {
                Some(wait @ Step::Wait { .. }) => {
                    self.steps.push_front(wait);
                    return;
                }
                Some(step) => shared.answer(&mut self.session, step, &mut self.output),
                None => return,
            }
            if self.output.len() >= SEND_AT {
                return;
            }
        }
    }
}

/// Why a connection ends.
enum End {
    Stopped,
    Closed,
    TooSlow,
    Malformed(RespError),
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TooSlow,
            _ => Self::Broken(error),
        }
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let decoder = RequestDecoder::new(shared.options.limits.clone());
        Self {
            stream,
            shared,
            decoder,
            input: BytesMut::new(),
            work: Work::default(),
        }
    }

    /// Serves until the client leaves, breaks a rule, or the server is stopped.
    pub(super) async fn serve(mut self, cancel: CancellationToken) {
        let _ = self.stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&self.stream, true);
        match self.serve_requests(&cancel).await {
            Err(End::Malformed(error)) => {
                write_error(self.work.output.tail(), malformed(&error));
                let _ = self.send().await;
            }
            Err(End::Broken(error)) => tracing::debug!(%error, "a 0-db client was lost"),
            Err(End::TooSlow) => tracing::debug!("a 0-db client was too slow"),
            Err(End::Stopped | End::Closed) | Ok(()) => {}
        }
    }

    async fn serve_requests(&mut self, cancel: &CancellationToken) -> Result<(), End> {
        let mut began = None;
        let mut chunk = SMALL_READ;
        loop {
            let taken = self.take_steps();
            if !self.work.steps.is_empty() {
                began = None;
            }
            self.do_steps(cancel).await?;
            if !taken.map_err(End::Malformed)? {
                continue;
            }
            let options = &self.shared.options;
            let left = if self.decoder.is_within_request() || !self.input.is_empty() {
                let began = began.get_or_insert_with(Instant::now);
                options.request.saturating_sub(began.elapsed())
            } else {
                began = None;
                options.idle
            };
            self.input.reserve(chunk);
            let read = tokio::select! {
                read = tokio::time::timeout(left, self.stream.read_buf(&mut self.input)) => read,
                () = cancel.cancelled() => return Err(End::Stopped),
            };
            match read {
                Err(_) => return Err(End::TooSlow),
                Ok(Ok(0)) => return Err(End::Closed),
                Ok(Ok(bytes)) => {
                    self.shared.counters.received(bytes);
                    if bytes >= chunk {
                        chunk = LARGE_READ;
                    }
                }
                Ok(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Turns what has arrived into steps; whether that was all that is complete.
    fn take_steps(&mut self) -> Result<bool, RespError> {
        let steps = &mut self.work.steps;
        while steps.len() < MAX_STEPS {
            let Some(request) = self.decoder.decode(&mut self.input)? else {
                return Ok(true);
            };
            match command::parse(request) {
                Err(refusal) => steps.push_back(Step::Refuse(refusal)),
                Ok(Command::MGet(keys)) => {
                    steps.push_back(Step::Array(keys.len()));
                    steps.extend(keys.into_iter().map(Step::Element));
                }
                Ok(Command::Wait { for_set, at_most }) => {
                    steps.push_back(Step::Wait { for_set, at_most });
                }
                Ok(command) => steps.push_back(Step::Answer(command)),
            }
        }
        Ok(false)
    }

    /// Does all steps and sends their answers.
    async fn do_steps(&mut self, cancel: &CancellationToken) -> Result<(), End> {
        while let Some(step) = self.work.steps.front() {
            if let Step::Wait { for_set, at_most } = *step {
                self.work.steps.pop_front();
                self.send().await?;
                self.wait(for_set, at_most, cancel).await?;
            } else if step.reads() {
                self.advance_blocking().await?;
            } else {
                self.work.advance(&self.shared, 1);
            }
            if self.work.output.len() >= SEND_AT {
                self.send().await?;
            }
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), End> {
        let idle = self.shared.options.write;
        let sent = self.work.output.send(&mut self.stream, idle).await?;
        self.shared.counters.sent(sent);
        Ok(())
    }

    /// Does steps where it may block on the disk.
    async fn advance_blocking(&mut self) -> Result<(), End> {
        // The quick way exists only on the runtime with many threads.
        if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| self.work.advance(&self.shared, STEPS_AT_ONCE));
            return Ok(());
        }
        let mut work = std::mem::take(&mut self.work);
        let shared = Arc::clone(&self.shared);
        let advanced = tokio::task::spawn_blocking(move || {
            work.advance(&shared, STEPS_AT_ONCE);
            work
        });
        self.work = advanced
            .await
            .map_err(|error| End::Broken(io::Error::other(error)))?;
        Ok(())
    }

    async fn wait(
        &mut self,
        for_set: bool,
        at_most: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), End> {
        self.shared.counters.executed();
        let changed = async {
            if for_set {
                self.shared.watch.changed().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let left = async {
            let mut next = [0];
            match self.stream.peek(&mut next).await {
                Ok(1..) => std::future::pending().await,
                Ok(0) => End::Closed,
                Err(error) => End::Broken(error),
            }
        };
        let output = self.work.output.tail();
        tokio::select! {
            () = changed => write_status(output, "SET"),
            () = tokio::time::sleep(at_most) => write_error(output, "Timeout"),
            end = left => return Err(end),
            () = cancel.cancelled() => return Err(End::Stopped),
        }
        Ok(())
    }
}

/// What 0-db says to bytes that are no request.
fn malformed(error: &RespError) -> &'static str {
    match error {
        RespError::NotAnArray | RespError::UnknownType(_) => "Malformed request, array expected",
        RespError::NoArguments => "Missing arguments",
        RespError::TooManyItems { .. } => "Too many arguments",
        RespError::BulkTooLarge { .. } | RespError::FrameTooLarge { .. } => "Payload too big",
        _ => "Malformed query string",
    }
}
