//! A client of one 0-db, over one connection, with requests in a pipeline.

mod buffers;
mod commands;
mod error;

#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

use bcm_core::digest::Sha1;
use bcm_core::redact::Secret;
use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::address::ZdbAddress;
use super::resp::{Reply, ReplyDecoder, ReplyLimits, write_request};

use self::buffers::InputBuffers;
pub use commands::{ScanEntry, ScanPage};
pub use error::ClientError;

/// The least that there is room for when the connection is read, in bytes.
const READ_CHUNK: usize = 64 * 1024;

/// How long a client waits, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// For the connection and the choice of the namespace, together. Default 10 s.
    pub connect: Duration,
    /// For the next byte. Default 30 s.
    pub idle: Duration,
    /// For one reply as a whole, so that a server that drips is left, too. Default 5 min.
    pub reply: Duration,
    /// What is taken of a reply.
    pub limits: ReplyLimits,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            reply: Duration::from_secs(300),
            limits: ReplyLimits::default(),
        }
    }
}

/// A connection to a 0-db, with a namespace chosen.
///
/// Replies come in the order of the requests. [`ZdbClient::enqueue`] and [`ZdbClient::reply`] are
/// the pipeline; the other methods send one request and wait for its reply, so they are for when
/// nothing is in flight. After an error other than [`ClientError::Refused`] and
/// [`ClientError::Unexpected`] the connection is of no more use.
#[derive(Debug)]
pub struct ZdbClient {
    stream: TcpStream,
    host: String,
    options: ClientOptions,
    decoder: ReplyDecoder,
    input: BytesMut,
    buffers: InputBuffers,
    output: BytesMut,
    in_flight: usize,
    /// How long the reply that is next has been waited for.
    waited: Duration,
    write_error: Option<io::Error>,
}

impl ZdbClient {
    /// Connects to `address` and selects its namespace. A password never goes over the wire:
    /// the server's challenge is answered with a hash.
    ///
    /// # Errors
    /// The host cannot be reached in time, is no 0-db, or does not give the namespace.
    pub async fn connect(
        address: &ZdbAddress,
        options: &ClientOptions,
    ) -> Result<Self, ClientError> {
        let host = address.authority();
        let connecting = async {
            let stream = TcpStream::connect((address.host(), address.port()))
                .await
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
                .map_err(|source| ClientError::Connect {
                    host: host.clone(),
                    source,
                })?;
            let mut client = Self {
                stream,
                host: host.clone(),
                options: options.clone(),
                decoder: ReplyDecoder::new(options.limits.clone()),
                input: BytesMut::new(),
                buffers: InputBuffers::default(),
                output: BytesMut::new(),
                in_flight: 0,
                waited: Duration::ZERO,
                write_error: None,
            };
            client
                .select(address.namespace(), address.password())
                .await?;
            Ok(client)
        };
        match tokio::time::timeout(options.connect, connecting).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout {
                host,
                command: "SELECT",
                waited: options.connect,
                setting: "connect",
            }),
        }
    }

    /// Chooses the namespace to work with.
    ///
    /// # Errors
    /// It does not exist or the password is wrong; the connection failed.
    pub async fn select(
        &mut self,
        namespace: &str,
        password: Option<&Secret>,
    ) -> Result<(), ClientError> {
        let namespace = namespace.as_bytes();
        match password {
            None => self.done("SELECT", &[namespace]).await,
            Some(password) => {
                let hash = self.answer_challenge(password).await?;
                self.done("SELECT", &[namespace, b"SECURE", hash.as_bytes()])
                    .await
            }
        }
    }

    /// Becomes administrator. A mirror never needs it.
    ///
    /// # Errors
    /// The password is wrong, or the server has none; the connection failed.
    pub async fn authenticate(&mut self, password: &Secret) -> Result<(), ClientError> {
        let hash = self.answer_challenge(password).await?;
        self.done("AUTH", &[b"SECURE", hash.as_bytes()]).await
    }

    async fn answer_challenge(&mut self, password: &Secret) -> Result<String, ClientError> {
        match self.call("AUTH", &[b"SECURE", b"CHALLENGE"]).await? {
            Reply::Status(challenge) => {
                let answer = format!("{challenge}:{}", password.reveal());
                Ok(Sha1::of(answer.as_bytes()).to_string())
            }
            other => Err(self.unexpected("AUTH", &other)),
        }
    }

    /// `host:port` of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How many requests wait for their reply.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Puts a request into the pipeline; it is sent while replies are waited for.
    pub fn enqueue(&mut self, arguments: &[&[u8]]) {
        write_request(&mut self.output, arguments);
        self.in_flight += 1;
    }

    /// Takes the next reply if all of it has arrived. Does not read from the connection.
    ///
    /// # Errors
    /// The server does not keep to the protocol; `command` is named in the error.
    pub fn arrived(&mut self, command: &'static str) -> Result<Option<Reply>, ClientError> {
        if self.in_flight == 0 {
            return Ok(None);
        }
        let reply =
            self.decoder
                .decode(&mut self.input)
                .map_err(|source| ClientError::Protocol {
                    host: self.host.clone(),
                    command,
                    source,
                })?;
        if reply.is_some() {
            self.in_flight -= 1;
            self.waited = Duration::ZERO;
        }
        Ok(reply)
    }

    /// Sends what is in the pipeline and waits for the next reply, which is that of the oldest
    /// request in flight; an error that the server replies is a reply. `command` is that
    /// request's, for errors.
    ///
    /// Cancel safety: nothing is lost when the future is dropped; call it again.
    ///
    /// # Errors
    /// The connection failed, a deadline passed, or the server does not keep to the protocol.
    pub async fn reply(&mut self, command: &'static str) -> Result<Reply, ClientError> {
        self.reply_within(command, self.options.idle).await
    }

    /// As [`ZdbClient::reply`], with another deadline for the next byte.
    async fn reply_within(
        &mut self,
        command: &'static str,
        idle: Duration,
    ) -> Result<Reply, ClientError> {
        loop {
            if let Some(reply) = self.arrived(command)? {
                return Ok(reply);
            }
            let whole = self.options.reply.max(idle);
            let left = idle.min(whole.saturating_sub(self.waited));
            let started = Instant::now();
            let outcome = tokio::time::timeout(left, self.exchange()).await;
            self.waited += started.elapsed();
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ClientError::Closed {
                        host: self.host.clone(),
                        command,
                    });
                }
                Ok(Err(source)) => {
                    return Err(ClientError::Io {
                        host: self.host.clone(),
                        command,
                        source,
                    });
                }
                Err(_) => {
                    return Err(ClientError::Timeout {
                        host: self.host.clone(),
                        command,
                        waited: self.waited,
                        setting: if left < idle { "reply" } else { "idle" },
                    });
                }
            }
        }
    }

    /// Waits until more has arrived, and writes meanwhile.
    async fn exchange(&mut self) -> io::Result<()> {
        loop {
            let interest = if self.output.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() && !self.output.is_empty() {
                match self.stream.try_write(&self.output) {
                    Ok(written) => self.output.advance(written),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    // A server that refuses a connection says why before it closes it: that
                    // can be read, although nothing can be written any more.
                    Err(e) => {
                        self.output.clear();
                        self.write_error = Some(e);
                    }
                }
            }
            if ready.is_readable() || ready.is_read_closed() {
                // A large payload doubles the buffer as it comes; it is not allocated before.
                let missing = self
                    .decoder
                    .awaited_payload()
                    .saturating_sub(self.input.len());
                let chunk = missing.clamp(READ_CHUNK, self.input.len().max(READ_CHUNK));
                self.buffers.make_room(&mut self.input, chunk);
                match self.stream.try_read_buf(&mut self.input) {
                    Ok(0) => {
                        return Err(self
                            .write_error
                            .take()
                            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
                    }
                    Ok(_) => return Ok(()),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e),
                }
            }
        }
    }

    /// Sends one request and waits for its reply. An error that the server replies is an error.
    ///
    /// # Errors
    /// As [`ZdbClient::reply`], and what the server refuses.
    pub async fn call(
        &mut self,
        command: &'static str,
        arguments: &[&[u8]],
    ) -> Result<Reply, ClientError> {
        self.call_within(command, arguments, self.options.idle)
            .await
    }

    async fn call_within(
        &mut self,
        command: &'static str,
        arguments: &[&[u8]],
        idle: Duration,
    ) -> Result<Reply, ClientError> {
        let mut request = Vec::with_capacity(arguments.len() + 1);
        request.push(command.as_bytes());
        request.extend_from_slice(arguments);
        self.enqueue(&request);
        match self.reply_within(command, idle).await? {
            Reply::Error(message) => Err(ClientError::Refused {
                host: self.host.clone(),
                command,
                message,
            }),
            reply => Ok(reply),
        }
    }

    async fn done(
        &mut self,
        command: &'static str,
        arguments: &[&[u8]],
    ) -> Result<(), ClientError> {
        match self.call(command, arguments).await? {
            Reply::Status(_) => Ok(()),
            other => Err(self.unexpected(command, &other)),
        }
    }

    /// The error of a reply that is not of the kind that `command` has.
    pub(crate) fn unexpected(&self, command: &'static str, reply: &Reply) -> ClientError {
        ClientError::Unexpected {
            host: self.host.clone(),
            command,
            reply: reply.kind(),
        }
    }
}
