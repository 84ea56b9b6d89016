//! What is known of running tasks, for the views that keep count themselves.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bcm_core::progress::{TaskId, Unit};
use indicatif::{HumanBytes, HumanCount, HumanDuration};

/// A running task.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) total: Option<u64>,
    pub(super) done: u64,
    pub(super) bytes: u64,
    started: Instant,
    last_shown: Instant,
}

impl Task {
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// `12 of 20 (1.50 MiB)`, `12`, `1.50 MiB of 2.00 MiB`.
    pub(super) fn amount(&self) -> String {
        amount(self.unit, self.done, self.total, self.bytes)
    }
}

/// A duration as people say it: `12.3 s`, `4 minutes`.
pub(super) fn time(elapsed: Duration) -> String {
    match elapsed < Duration::from_secs(60) {
        true => format!("{:.1} s", elapsed.as_secs_f64()),
        false => HumanDuration(elapsed).to_string(),
    }
}

/// See [`Task::amount`].
pub(super) fn amount(unit: Unit, done: u64, total: Option<u64>, bytes: u64) -> String {
    let count = |n| match unit {
        Unit::Bytes => HumanBytes(n).to_string(),
        _ => HumanCount(n).to_string(),
    };
    let mut text = count(done);
    if let Some(total) = total.filter(|total| *total != done) {
        text = format!("{text} of {}", count(total));
    }
    if unit != Unit::Bytes && bytes > 0 {
        text = format!("{text} ({})", HumanBytes(bytes));
    }
    text
}

/// The tasks that run.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    running: BTreeMap<TaskId, Task>,
}

impl Tasks {
    pub(super) fn start(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        let mut inner = self.lock();
        inner.last += 1;
        let id = TaskId(inner.last);
        let now = Instant::now();
        inner.running.insert(
            id,
            Task {
                name: name.to_owned(),
                unit,
                total,
                done: 0,
                bytes: 0,
                started: now,
                last_shown: now,
            },
        );
        id
    }

    pub(super) fn set_total(&self, id: TaskId, total: u64) {
        if let Some(task) = self.lock().running.get_mut(&id) {
            task.total = Some(total);
        }
    }

    /// Counts, and gives the task back when it was not shown for `interval`.
    pub(super) fn advance(
        &self,
        id: TaskId,
        delta: u64,
        bytes: u64,
        interval: Duration,
    ) -> Option<Task> {
        let mut inner = self.lock();
        let task = inner.running.get_mut(&id)?;
        task.done += delta;
        task.bytes += bytes;
        if task.last_shown.elapsed() < interval {
            return None;
        }
        task.last_shown = Instant::now();
        Some(task.clone())
    }

    pub(super) fn finish(&self, id: TaskId) -> Option<Task> {
        self.lock().running.remove(&id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic elsewhere leaves counts that are good enough to show.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(amount(Unit::Items, 3, Some(12), 0), "3 of 12");
        assert_eq!(amount(Unit::Items, 12, Some(12), 0), "12");
        assert_eq!(amount(Unit::Blocks, 1234, None, 2048), "1,234 (2.00 KiB)");
        assert_eq!(
            amount(Unit::Bytes, 1024, Some(2048), 1024),
            "1.00 KiB of 2.00 KiB"
        );
    }

    #[test]
    fn a_task_is_shown_at_most_once_an_interval() {
        let tasks = Tasks::default();
        let id = tasks.start("x", Unit::Items, None);
        assert!(tasks.advance(id, 1, 0, Duration::from_secs(3600)).is_none());
        assert_eq!(tasks.advance(id, 1, 0, Duration::ZERO).unwrap().done, 2);
        assert_eq!(tasks.finish(id).unwrap().done, 2);
        assert!(tasks.finish(id).is_none());
    }
}
