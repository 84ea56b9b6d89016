//! Blocking work off the async threads, a bounded number at a time.

use tokio::sync::Semaphore;

/// The work panicked, or the process is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("the work was not finished")]
pub struct Unfinished;

/// Runs blocking functions.
#[derive(Debug)]
pub struct Workers {
    places: Semaphore,
}

impl Workers {
    /// At most `count` at the same time; the rest wait in line.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            places: Semaphore::new(count.max(1)),
        }
    }

    /// Runs `work`. It is not stopped when the caller stops waiting.
    ///
    /// # Errors
    /// The work panicked, or the process is shutting down.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let _place = self.places.acquire().await.map_err(|_| Unfinished)?;
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "a worker failed");
            Unfinished
        })
    }
}
