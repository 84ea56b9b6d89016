//! What a person or a program sees on stderr while something runs: bars on a terminal, plain
//! lines elsewhere, or JSON events.

mod bars;
mod events;
mod lines;
mod task;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use bcm_core::progress::{Level, Outcome, Progress, SharedProgress, TaskId, Unit};

use crate::args::choices::Output;
use crate::diagnostics::Report;
use crate::environment::Environment;
use crate::run_log::RunLog;

/// How progress is shown.
enum View {
    Bars(bars::Bars),
    Lines(lines::Lines),
    Events(events::Events),
    Quiet(task::Tasks),
}

/// Shows progress, messages and errors on stderr. Clones are the same reporter.
#[derive(Clone)]
pub(crate) struct Reporter {
    inner: Arc<Inner>,
}

struct Inner {
    view: View,
    output: Output,
    colour: bool,
    quiet: bool,
    log: OnceLock<RunLog>,
}

impl Reporter {
    /// Chooses the view: JSON events with `--output json`, nothing but warnings with `--quiet`,
    /// bars on a terminal, lines elsewhere.
    pub(crate) fn new(environment: &Environment, output: Output, quiet: bool) -> Self {
        let view = match output {
            _ if quiet => View::Quiet(task::Tasks::default()),
            Output::Json => View::Events(events::Events::default()),
            Output::Text if environment.terminal => View::Bars(bars::Bars::new()),
            Output::Text => View::Lines(lines::Lines::default()),
        };
        Self {
            inner: Arc::new(Inner {
                view,
                output,
                colour: environment.colour(),
                quiet,
                log: OnceLock::new(),
            }),
        }
    }

    /// From now on, keeps all that happens in `log`, too.
    pub(crate) fn keep(&self, log: RunLog) {
        // A command keeps one log; were there a second, the first would stay.
        let _ = self.inner.log.set(log);
    }

    /// The log that is kept.
    pub(crate) fn log(&self) -> Option<&RunLog> {
        self.inner.log.get()
    }

    fn log_line(&self, text: impl FnOnce() -> String) {
        if let Some(log) = self.log() {
            log.line(&text());
        }
    }

    /// The reporter as the libraries take it.
    pub(crate) fn progress(&self) -> SharedProgress {
        Arc::new(self.clone())
    }

    /// A line for whoever watches.
    pub(crate) fn say(&self, text: &str) {
        self.note(Level::Info, text);
    }

    /// Something worth an event of its own: `text` for people, `event` for programs.
    pub(crate) fn announce(&self, text: &str, event: &impl serde::Serialize) {
        self.log_line(|| text.to_owned());
        match self.inner.output {
            _ if self.inner.quiet => {}
            Output::Text => self.write(&format!("{text}\n")),
            Output::Json => {
                self.write(&(serde_json::to_string(event).unwrap_or_default() + "\n"));
            }
        }
    }

    /// Something is wrong, and the work goes on.
    pub(crate) fn warn(&self, text: &str) {
        self.note(Level::Warning, text);
    }

    /// The error that ends the command.
    pub(crate) fn error(&self, report: &Report) {
        self.log_line(|| report.text(false));
        let report = &report.with_log(self.log().map(RunLog::path));
        match self.inner.output {
            Output::Text => self.write(&report.text(self.inner.colour)),
            Output::Json => self.write(&report.json()),
        }
    }

    /// Writes a finished text to stderr, clear of the bars.
    pub(crate) fn write(&self, text: &str) {
        match &self.inner.view {
            View::Bars(bars) => bars.suspend(|| write_stderr(text)),
            _ => write_stderr(text),
        }
    }
}

/// Writes to stderr; where that is closed, there is nobody to tell.
fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

impl Progress for Reporter {
    fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        self.log_line(|| format!("begins: {name}"));
        match &self.inner.view {
            View::Bars(bars) => bars.started(name, unit, total),
            View::Lines(lines) => lines.started(name, unit, total),
            View::Events(events) => events.started(name, unit, total),
            View::Quiet(tasks) => tasks.start(name, unit, total),
        }
    }

    fn total(&self, task: TaskId, total: u64) {
        match &self.inner.view {
            View::Bars(bars) => bars.total(task, total),
            View::Lines(lines) => lines.total(task, total),
            View::Events(events) => events.total(task, total),
            View::Quiet(_) => {}
        }
    }

    fn advanced(&self, task: TaskId, delta: u64, bytes: u64) {
        match &self.inner.view {
            View::Bars(bars) => bars.advanced(task, delta, bytes),
            View::Lines(lines) => lines.advanced(task, delta, bytes),
            View::Events(events) => events.advanced(task, delta, bytes),
            View::Quiet(_) => {}
        }
    }

    fn finished(&self, task: TaskId, outcome: &Outcome) {
        let name = match &self.inner.view {
            View::Bars(bars) => bars.finished(task, outcome),
            View::Lines(lines) => lines.finished(task, outcome),
            View::Events(events) => events.finished(task, outcome),
            View::Quiet(tasks) => tasks.finish(task).map(|task| task.name),
        };
        self.log_line(|| {
            let name = name.unwrap_or_default();
            match outcome {
                Outcome::Partial(why) => format!("in part: {name}: {why}"),
                Outcome::Failed(why) => format!("failed: {name}: {why}"),
                _ => format!("done: {name}"),
            }
        });
    }

    fn note(&self, level: Level, text: &str) {
        if level != Level::Debug {
            self.log_line(|| text.to_owned());
        }
        let wanted = match level {
            Level::Warning => true,
            Level::Info => !self.inner.quiet,
            // Those who ask for more get tracing's own.
            Level::Debug => return tracing::debug!("{text}"),
        };
        if !wanted {
            return;
        }
        self.write(&match (self.inner.output, level) {
            (Output::Json, _) => events::note(level, text),
            (Output::Text, Level::Warning) if self.inner.colour => {
                format!("\x1b[1;33mwarning:\x1b[0m {text}\n")
            }
            (Output::Text, Level::Warning) => format!("warning: {text}\n"),
            (Output::Text, _) => format!("{text}\n"),
        });
    }
}

/// Lets tracing write clear of the bars: one write is one event.
impl io::Write for Reporter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Reporter::write(self, &String::from_utf8_lossy(buffer));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
