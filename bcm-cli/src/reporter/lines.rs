//! Plain lines, for logs: one when a task begins and ends, one every few seconds in between.

use std::time::Duration;

use bcm_core::progress::{Outcome, TaskId, Unit};

use super::task::{Tasks, time};
use super::write_stderr;

/// How often a task that runs says how far it is.
const INTERVAL: Duration = Duration::from_secs(5);

/// The view for anything that is not a terminal.
#[derive(Debug, Default)]
pub(super) struct Lines {
    tasks: Tasks,
}

impl Lines {
    pub(super) fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        if unit == Unit::Step {
            write_stderr(&format!("{name} …\n"));
        }
        self.tasks.start(name, unit, total)
    }

    pub(super) fn total(&self, task: TaskId, total: u64) {
        self.tasks.set_total(task, total);
    }

    pub(super) fn advanced(&self, task: TaskId, delta: u64, bytes: u64) {
        if let Some(task) = self.tasks.advance(task, delta, bytes, INTERVAL)
            && task.unit != Unit::Step
        {
            write_stderr(&format!("{}: {}\n", task.name, task.amount()));
        }
    }

    /// Gives the task's name back.
    pub(super) fn finished(&self, task: TaskId, outcome: &Outcome) -> Option<String> {
        let task = self.tasks.finish(task)?;
        let (name, amount) = (&task.name, task.amount());
        write_stderr(&match (outcome, task.unit) {
            (Outcome::Partial(why), Unit::Step) => format!("{name}: in part: {why}\n"),
            (Outcome::Failed(why), Unit::Step) => format!("{name}: failed: {why}\n"),
            (_, Unit::Step) => format!("{name}: done in {}\n", time(task.elapsed())),
            (Outcome::Partial(why), _) => format!("{name}: {amount}, in part: {why}\n"),
            (Outcome::Failed(why), _) => format!("{name}: {amount}, failed: {why}\n"),
            _ => format!("{name}: {amount}, done\n"),
        });
        Some(task.name)
    }
}
