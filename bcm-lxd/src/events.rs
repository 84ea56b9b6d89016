//! The stream of events: `GET /1.0/events`, a websocket.

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::error::LxdError;
use crate::request::Request;
use crate::transport::Connection;

/// One event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// `operation`, `lifecycle`, `logging`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, in RFC 3339.
    #[serde(default)]
    pub timestamp: String,
    /// The member that it happened on; empty outside of clusters.
    #[serde(default)]
    pub location: String,
    /// The project, where it belongs to one.
    #[serde(default)]
    pub project: String,
    /// What happened; its shape depends on the type.
    #[serde(default)]
    pub metadata: Value,
}

/// Events as they come. Dropping it closes the stream.
pub struct EventStream {
    peer: String,
    socket: WebSocketStream<Box<dyn Connection>>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

const CALL: &str = "GET /1.0/events";

impl Client {
    /// Opens the stream of events of the types `kinds` (`operation`, `lifecycle`, `logging`), of
    /// all projects.
    ///
    /// # Errors
    /// The call failed.
    pub async fn events(&self, kinds: &[&str]) -> Result<EventStream, LxdError> {
        let request = Request::get(&["events"])
            .with_query("type", kinds.join(","))
            .with_query("all-projects", "true");
        let stream = self.open_stream().await?;
        let url = format!("ws://localhost{}", request.target());
        let (socket, _) = tokio_tungstenite::client_async(url, stream)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(EventStream {
            peer: self.peer().to_owned(),
            socket,
        })
    }

    fn broken(&self, error: tokio_tungstenite::tungstenite::Error) -> LxdError {
        LxdError::Broken {
            peer: self.peer().to_owned(),
            call: CALL.to_owned(),
            source: Box::new(error),
        }
    }
}

impl EventStream {
    /// The next event, or `None` when the server closes the stream. Waits for as long as nothing
    /// happens: the caller sets the deadline.
    ///
    /// Cancel safety: dropping the future loses no event.
    ///
    /// # Errors
    /// The stream broke, or a message is not an event.
    pub async fn next(&mut self) -> Result<Option<Event>, LxdError> {
        loop {
            let message = match self.socket.next().await {
                None => return Ok(None),
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    return Err(LxdError::Broken {
                        peer: self.peer.clone(),
                        call: CALL.to_owned(),
                        source: Box::new(error),
                    });
                }
            };
            match message {
                Message::Text(text) => return self.parse(text.as_bytes()).map(Some),
                Message::Binary(bytes) => return self.parse(&bytes).map(Some),
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
    }

    fn parse(&self, text: &[u8]) -> Result<Event, LxdError> {
        serde_json::from_slice(text).map_err(|error| LxdError::Answer {
            peer: self.peer.clone(),
            call: CALL.to_owned(),
            what: error.to_string(),
        })
    }
}
