//! Progress as events. Libraries report them; only the caller decides what a person sees.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

/// What a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Things: flists, repositories, hosts.
    Items,
    /// Blocks of content.
    Blocks,
    /// Bytes.
    Bytes,
    /// One thing that is done or not, and takes its time: its total is 1.
    Step,
}

/// Names one running task; given out by [`Progress::started`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// It went on to its end, but something in it failed; the text says what.
    Partial(String),
    /// It failed; the text says why.
    Failed(String),
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who asked for more.
    Debug,
    /// Worth a line.
    Info,
    /// Something is wrong, and the work goes on.
    Warning,
}

/// Receives what happens. Every method returns at once and is called from any thread; all have
/// a default that does nothing.
pub trait Progress: Send + Sync {
    /// A task begins. `total` is in `unit`s, where it is known. `name` is for people, such as
    /// `fetching flists`.
    fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        let _ = (name, unit, total);
        TaskId(0)
    }

    /// The total turned out to be `total`.
    fn total(&self, task: TaskId, total: u64) {
        let _ = (task, total);
    }

    /// `delta` more units are done, which were `bytes` bytes (0 where bytes mean nothing).
    fn advanced(&self, task: TaskId, delta: u64, bytes: u64) {
        let _ = (task, delta, bytes);
    }

    /// The task is over.
    fn finished(&self, task: TaskId, outcome: &Outcome) {
        let _ = (task, outcome);
    }

    /// Something to tell a person that belongs to no task.
    fn note(&self, level: Level, text: &str) {
        let _ = (level, text);
    }
}

/// A [`Progress`] that drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// A shared [`Progress`], as the libraries take it.
pub type SharedProgress = Arc<dyn Progress>;

/// The default: nobody is watching.
#[must_use]
pub fn none() -> SharedProgress {
    Arc::new(NoProgress)
}

/// Does `work`, called `name`, as one [`Unit::Step`].
///
/// # Errors
/// Those of `work`.
pub async fn watched<T, E: Error>(
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
