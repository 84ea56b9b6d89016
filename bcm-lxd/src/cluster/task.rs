//! Work that takes its time, as whoever watches sees it.

use std::error::Error;
use std::future::Future;

use bcm_core::progress::{Outcome, SharedProgress, Unit};

/// Does `work`, called `name`.
pub(super) async fn watched<T, E: Error>(
    progress: &SharedProgress,
    name: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let task = progress.started(name, Unit::Step, Some(1));
    let result = work.await;
    match &result {
        Ok(_) => {
            progress.advanced(task, 1, 0);
            progress.finished(task, &Outcome::Done);
        }
        Err(error) => progress.finished(task, &Outcome::Failed(error.to_string())),
    }
    result
}
