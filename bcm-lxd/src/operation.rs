//! Background operations: waiting for them, and cancelling them.

use std::time::{Duration, Instant};

use bcm_core::wait::Timeout;

use crate::client::Client;
use crate::error::{ApiError, LxdError};
use crate::request::Request;
use crate::types::Operation;

/// The longest that one call waits at the server, so that a lost connection is noticed.
const STEP: Duration = Duration::from_secs(20);

/// How long after an answer that says nothing the server is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// An operation that runs on the server.
///
/// Dropping this neither waits for the operation nor cancels it.
#[derive(Debug, Clone)]
pub struct OperationHandle {
    client: Client,
    call: String,
    operation: Operation,
}

/// An operation did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It did not end in time; it goes on at the server.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// It failed, or the server could not be asked.
    #[error(transparent)]
    Failed(#[from] LxdError),
}

impl WaitError {
    /// The daemon's own error, where it gave one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Failed(error) => error.api(),
            Self::Timeout(_) => None,
        }
    }
}

impl OperationHandle {
    pub(crate) fn new(client: Client, call: String, operation: Operation) -> Self {
        Self {
            client,
            call,
            operation,
        }
    }

    pub(crate) fn done(client: Client, call: String) -> Self {
        let operation = Operation {
            status: "Success".to_owned(),
            status_code: 200,
            ..Operation::default()
        };
        Self::new(client, call, operation)
    }

    /// The operation as it was last seen.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Waits until the operation ends, for at most `limit`.
    ///
    /// The server is asked again and again for short stretches; a connection that breaks in
    /// between is made anew, within the same limit, unless the way to the server is gone. A server that no longer knows the operation
    /// has restarted or is done: the last seen state decides.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] with the last seen status; [`WaitError::Failed`] with the server's
    /// words.
    pub async fn wait(mut self, limit: Duration) -> Result<Operation, WaitError> {
        let started = Instant::now();
        loop {
            if self.operation.is_final() {
                return self.result();
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Timeout {
                    what: format!("{} on {}", self.call, self.client.peer()),
                    waited: started.elapsed(),
                    last_seen: self.operation.status.clone(),
                }
                .into());
            }
            match self.ask(left.min(STEP)).await {
                Ok(operation) => self.operation = operation,
                Err(error) if error.is_transport() && !error.is_last() => {
                    tokio::time::sleep(PAUSE.min(left)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn ask(&self, step: Duration) -> Result<Operation, LxdError> {
        // A server takes whole seconds; rounded up, so that it is never asked to wait 0 s.
        let seconds = step.as_secs_f64().ceil();
        let request = Request::get(&["operations", &self.operation.id, "wait"])
            .with_query("timeout", format!("{seconds}"));
        match self.client.call(request).await {
            // Incus answers so when the operation has not ended by then.
            Err(error) if error.api().is_some() => match self.look().await {
                Ok(operation) => {
                    tokio::time::sleep(PAUSE.min(step)).await;
                    Ok(operation)
                }
                Err(_) => Err(error),
            },
            result => result,
        }
    }

    async fn look(&self) -> Result<Operation, LxdError> {
        let request = Request::get(&["operations", &self.operation.id]);
        self.client.call(request).await
    }

    fn result(self) -> Result<Operation, WaitError> {
        if self.operation.status_code < 400 {
            return Ok(self.operation);
        }
        Err(LxdError::Operation {
            peer: self.client.peer().to_owned(),
            call: self.call,
            source: ApiError {
                code: self.operation.status_code,
                message: match self.operation.err.as_str() {
                    "" => self.operation.status.clone(),
                    words => words.to_owned(),
                },
            },
        }
        .into())
    }

    /// Asks the server to cancel the operation. For a join token this revokes it.
    ///
    /// # Errors
    /// The call failed. An operation that is gone or has ended counts as cancelled.
    pub async fn cancel(&self) -> Result<(), LxdError> {
        match self
            .client
            .call_empty(Request::delete(&["operations", &self.operation.id]))
            .await
        {
            Err(error) if error.is_not_found() => Ok(()),
            // A server remembers for some seconds what has ended, and refuses to cancel that.
            Err(error) if error.api().is_some() && self.has_ended().await => Ok(()),
            result => result,
        }
    }

    async fn has_ended(&self) -> bool {
        match self.look().await {
            Ok(operation) => operation.is_final(),
            Err(error) => error.is_not_found(),
        }
    }
}
