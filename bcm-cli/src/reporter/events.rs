//! JSON events, one a line. Their shape is part of the interface; the README documents it.

use std::time::Duration;

use bcm_core::progress::{Level, Outcome, TaskId, Unit};
use serde::Serialize;

use super::task::Tasks;
use super::write_stderr;

/// How often a task that runs says how far it is.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Started {
        task: u64,
        name: &'a str,
        unit: &'static str,
        total: Option<u64>,
    },
    Progress {
        task: u64,
        done: u64,
        bytes: u64,
        total: Option<u64>,
    },
    Finished {
        task: u64,
        outcome: &'static str,
        why: Option<&'a str>,
        done: u64,
        bytes: u64,
        seconds: f64,
    },
    Note {
        level: &'static str,
        text: &'a str,
    },
}

impl Event<'_> {
    fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// A note as an event's line.
pub(super) fn note(level: Level, text: &str) -> String {
    let level = match level {
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    Event::Note { level, text }.line()
}

/// The view for programs.
#[derive(Debug, Default)]
pub(super) struct Events {
    tasks: Tasks,
}

impl Events {
    pub(super) fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        let id = self.tasks.start(name, unit, total);
        let unit = match unit {
            Unit::Blocks => "blocks",
            Unit::Bytes => "bytes",
            Unit::Step => "step",
            _ => "items",
        };
        let event = Event::Started {
            task: id.0,
            name,
            unit,
            total,
        };
        write_stderr(&event.line());
        id
    }

    pub(super) fn total(&self, task: TaskId, total: u64) {
        self.tasks.set_total(task, total);
    }

    pub(super) fn advanced(&self, id: TaskId, delta: u64, bytes: u64) {
        if let Some(task) = self.tasks.advance(id, delta, bytes, INTERVAL) {
            let event = Event::Progress {
                task: id.0,
                done: task.done,
                bytes: task.bytes,
                total: task.total,
            };
            write_stderr(&event.line());
        }
    }

    /// Gives the task's name back.
    pub(super) fn finished(&self, id: TaskId, outcome: &Outcome) -> Option<String> {
        let task = self.tasks.finish(id)?;
        let (outcome, why) = match outcome {
            Outcome::Partial(why) => ("partial", Some(why.as_str())),
            Outcome::Failed(why) => ("failed", Some(why.as_str())),
            _ => ("done", None),
        };
        let event = Event::Finished {
            task: id.0,
            outcome,
            why,
            done: task.done,
            bytes: task.bytes,
            seconds: task.elapsed().as_secs_f64(),
        };
        write_stderr(&event.line());
        Some(task.name)
    }
}
