//! Sends requests.

mod body;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::operation::OperationHandle;
use crate::request::Request;
use crate::response::{Answer, NoAnswer, open};
use crate::transport::{Connection, Transport};
use crate::types::Server;

/// The largest answer that is taken: listings of big clusters stay far below it.
const MAX_ANSWER: usize = 256 << 20;

/// Limits of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How long opening the socket may take. Default 10 s.
    pub connect: Duration,
    /// How long an answer may take. A daemon that lost its quorum hangs instead of answering.
    /// Default 60 s; operations are waited for with a deadline of their own.
    pub answer: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
        }
    }
}

/// A client of one daemon. Clones are cheap and share the transport.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    options: ClientOptions,
    flavour: Flavour,
    version: String,
    project: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.transport.peer())
            .field("flavour", &self.flavour)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How often a call that changes nothing is sent, and how long after a connection broke.
const READ_TRIES: u32 = 3;
const READ_PAUSE: Duration = Duration::from_millis(500);

impl Client {
    /// Connects and asks the daemon what it is, with the default limits.
    ///
    /// # Errors
    /// It cannot be reached, or is neither LXD nor Incus.
    pub async fn connect(transport: impl Transport + 'static) -> Result<Self, LxdError> {
        Self::connect_with(transport, ClientOptions::default()).await
    }

    /// Connects and asks the daemon what it is.
    ///
    /// # Errors
    /// It cannot be reached, or is neither LXD nor Incus.
    pub async fn connect_with(
        transport: impl Transport + 'static,
        options: ClientOptions,
    ) -> Result<Self, LxdError> {
        let mut client = Self::of_flavour(Flavour::Lxd, transport, options);
        let server = client.server().await?;
        let Some(flavour) = Flavour::from_server(&server.environment.server) else {
            return Err(LxdError::Answer {
                peer: client.peer().to_owned(),
                call: "GET /1.0".to_owned(),
                what: match server.environment.server.as_str() {
                    "" => "it does not say which server it is: this user may not use it".to_owned(),
                    name => format!("its server is {name:?}, which is neither LXD nor Incus"),
                },
            });
        };
        client.flavour = flavour;
        client.version = server.environment.server_version;
        Ok(client)
    }

    /// A client of a daemon that is known to be `flavour`, and is not asked. Its
    /// [`version`](Self::version) is empty.
    #[must_use]
    pub fn of_flavour(
        flavour: Flavour,
        transport: impl Transport + 'static,
        options: ClientOptions,
    ) -> Self {
        Self {
            transport: Arc::new(transport),
            options,
            flavour,
            version: String::new(),
            project: None,
        }
    }

    /// The same daemon, with instances, images, profiles, volumes and networks of `project`.
    #[must_use]
    pub fn in_project(&self, project: &str) -> Self {
        Self {
            project: Some(project.to_owned()),
            ..self.clone()
        }
    }

    /// The same daemon with other limits.
    #[must_use]
    pub fn with_options(&self, options: ClientOptions) -> Self {
        Self {
            options,
            ..self.clone()
        }
    }

    /// Which daemon this is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The daemon's version, such as `5.0.2`, as it was when this client connected.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What errors call the daemon.
    #[must_use]
    pub fn peer(&self) -> &str {
        self.transport.peer()
    }

    /// `GET /1.0`: configuration, versions, API extensions.
    ///
    /// # Errors
    /// The call failed.
    pub async fn server(&self) -> Result<Server, LxdError> {
        self.call(Request::get(&[])).await
    }

    /// The project of [`in_project`](Self::in_project).
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Sends a request whose answer comes at once.
    ///
    /// Cancel safety: dropping the future closes the connection; the daemon may still do it.
    ///
    /// # Errors
    /// The call failed, or began an operation.
    pub async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, LxdError> {
        let call = request.call();
        match self.answer(request, self.options.answer).await? {
            Answer::Sync(value) => self.decode(&call, value),
            Answer::Async(_) => Err(self.not_understood(&call, "it began an operation")),
        }
    }

    /// Sends a request whose answer is a list. Incus answers `null` where there is nothing.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn call_list<T: DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<Vec<T>, LxdError> {
        let list: Option<Vec<T>> = self.call(request).await?;
        Ok(list.unwrap_or_default())
    }

    /// Sends a request whose answer is not needed.
    ///
    /// # Errors
    /// The call failed.
    pub async fn call_empty(&self, request: Request) -> Result<(), LxdError> {
        self.call::<Value>(request).await.map(|_| ())
    }

    /// Sends a request that begins a background operation.
    ///
    /// Cancel safety: dropping the future or the handle cancels nothing on the server; see
    /// [`OperationHandle::cancel`].
    ///
    /// # Errors
    /// The call failed. Some calls answer at once on one server and begin an operation on another;
    /// such an answer is an operation that is done.
    pub async fn start(&self, request: Request) -> Result<OperationHandle, LxdError> {
        self.start_within(request, self.options.answer).await
    }

    /// The same for a request that carries so much that sending it may take `limit`.
    pub(crate) async fn start_within(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<OperationHandle, LxdError> {
        let call = request.call();
        Ok(match self.answer(request, limit).await? {
            Answer::Async(operation) => OperationHandle::new(self.clone(), call, *operation),
            Answer::Sync(_) => OperationHandle::done(self.clone(), call),
        })
    }

    /// Reading is tried again where the connection breaks: a daemon breaks all of them when it takes
    /// on its cluster's certificate, or restarts.
    async fn sent(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<(StatusCode, header::HeaderMap, Bytes), LxdError> {
        let mut tries_left = match request.method {
            Method::GET => READ_TRIES,
            _ => 1,
        };
        loop {
            tries_left -= 1;
            match self.raw(request.clone(), limit).await {
                Err(LxdError::Broken { .. }) if tries_left > 0 => {
                    tokio::time::sleep(READ_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn answer(&self, request: Request, limit: Duration) -> Result<Answer, LxdError> {
        let call = request.call();
        let (status, _, body) = self.sent(request, limit).await?;
        open(status, &body).map_err(|no_answer| match no_answer {
            NoAnswer::Api(source) => LxdError::Api {
                peer: self.peer().to_owned(),
                call,
                source,
            },
            NoAnswer::NotUnderstood(what) => self.not_understood(&call, what),
        })
    }

    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        call: &str,
        value: Value,
    ) -> Result<T, LxdError> {
        serde_json::from_value(value).map_err(|error| self.not_understood(call, error.to_string()))
    }

    fn not_understood(&self, call: &str, what: impl Into<String>) -> LxdError {
        LxdError::Answer {
            peer: self.peer().to_owned(),
            call: call.to_owned(),
            what: what.into(),
        }
    }

    /// Sends a request and gives status, headers and body as they came, for calls whose answer is
    /// a file.
    pub(crate) async fn raw(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<(StatusCode, header::HeaderMap, Bytes), LxdError> {
        let call = request.call();
        let stream = self.open_stream().await?;
        let exchange = self.exchange(stream, request, &call);
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(LxdError::Silent {
                peer: self.peer().to_owned(),
                call,
                waited: limit,
            }),
        }
    }

    pub(crate) async fn open_stream(&self) -> Result<Box<dyn Connection>, LxdError> {
        let limit = self.options.connect;
        match tokio::time::timeout(limit, self.transport.connect()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(source)) => Err(LxdError::Connect {
                peer: self.peer().to_owned(),
                source,
            }),
            Err(_) => Err(LxdError::Silent {
                peer: self.peer().to_owned(),
                call: "the connection".to_owned(),
                waited: limit,
            }),
        }
    }

    async fn exchange(
        &self,
        stream: Box<dyn Connection>,
        request: Request,
        call: &str,
    ) -> Result<(StatusCode, header::HeaderMap, Bytes), LxdError> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| LxdError::Broken {
            peer: self.peer().to_owned(),
            call: call.to_owned(),
            source,
        };
        tracing::debug!(peer = self.peer(), call, "request");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken(e.into()))?;
        let connection = tokio::spawn(connection);
        let mut builder = hyper::Request::builder()
            .method(request.method.clone())
            .uri(request.target())
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "close");
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let carried = body::open(request.body).await?;
        if let Some(content_type) = carried.content_type {
            builder = builder
                .header(header::CONTENT_TYPE, content_type)
                .header(header::CONTENT_LENGTH, carried.length);
        }
        let message = builder.body(carried.bytes).map_err(|e| broken(e.into()))?;
        let response = sender
            .send_request(message)
            .await
            .map_err(|e| broken(e.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        connection.abort();
        Ok((head.status, head.headers, body))
    }
}

#[cfg(test)]
mod tests;
