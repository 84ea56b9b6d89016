//! Bars, for terminals. A task that ends leaves one line behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bcm_core::progress::{Outcome, TaskId, Unit};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::task::{amount, time};

/// The view for terminals.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    running: Mutex<BTreeMap<TaskId, Bar>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    name: String,
    unit: Unit,
    bytes: u64,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            running: Mutex::default(),
            last: AtomicU64::new(0),
        }
    }

    /// Takes the bars away while `write` writes.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }

    pub(super) fn started(&self, name: &str, unit: Unit, total: Option<u64>) -> TaskId {
        let id = TaskId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let bar = self.all.add(match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        });
        bar.set_style(style(unit, total.is_some()));
        bar.set_prefix(name.to_owned());
        if unit == Unit::Step {
            bar.set_message(name.to_owned());
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let name = name.to_owned();
        self.lock().insert(
            id,
            Bar {
                bar,
                name,
                unit,
                bytes: 0,
            },
        );
        id
    }

    pub(super) fn total(&self, task: TaskId, total: u64) {
        if let Some(Bar { bar, unit, .. }) = self.lock().get(&task) {
            if bar.length().is_none() {
                bar.set_style(style(*unit, true));
            }
            bar.set_length(total);
        }
    }

    pub(super) fn advanced(&self, task: TaskId, delta: u64, bytes: u64) {
        if let Some(bar) = self.lock().get_mut(&task) {
            bar.bytes += bytes;
            bar.bar.inc(delta);
            if bar.unit != Unit::Bytes && bar.bytes > 0 {
                let bytes = indicatif::HumanBytes(bar.bytes).to_string();
                let seconds = bar.bar.elapsed().as_secs_f64();
                let rate = match seconds > 0.5 {
                    true => format!(
                        ", {}/s",
                        indicatif::HumanBytes((bar.bytes as f64 / seconds) as u64)
                    ),
                    false => String::new(),
                };
                bar.bar.set_message(format!("{bytes}{rate}"));
            }
        }
    }

    /// Gives the task's name back.
    pub(super) fn finished(&self, task: TaskId, outcome: &Outcome) -> Option<String> {
        let Bar {
            bar,
            name,
            unit,
            bytes,
        } = self.lock().remove(&task)?;
        let amount = amount(unit, bar.position(), bar.length(), bytes);
        let time = time(bar.elapsed());
        bar.finish_and_clear();
        self.all.remove(&bar);
        let line = match (outcome, unit) {
            (Outcome::Partial(why), Unit::Step) => format!("! {name}: in part: {why}"),
            (Outcome::Failed(why), Unit::Step) => format!("✗ {name}: {why}"),
            (_, Unit::Step) => format!("✓ {name} ({time})"),
            (Outcome::Partial(why), _) => format!("! {name}: {amount}, in part: {why}"),
            (Outcome::Failed(why), _) => format!("✗ {name}: {amount}, failed: {why}"),
            _ => format!("✓ {name}: {amount} in {time}"),
        };
        self.suspend(|| super::write_stderr(&format!("{line}\n")));
        Some(name)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Bar>> {
        // A panic elsewhere leaves bars that are good enough to show.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(unit: Unit, known_total: bool) -> ProgressStyle {
    let template = match (unit, known_total) {
        // Steps have no length: what runs, and for how long.
        (Unit::Step, _) => "{spinner} {elapsed:>4} {wide_msg}",
        (Unit::Bytes, true) => {
            "  {prefix:<20!} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
        }
        (_, true) => "  {prefix:<20!} [{bar:30}] {human_pos} of {human_len}  {msg}",
        (Unit::Bytes, false) => "{spinner} {prefix:<20!} {bytes}, {bytes_per_sec}",
        (_, false) => "{spinner} {prefix:<20!} {human_pos}  {msg}",
    };
    // The templates above are constants; one that indicatif refused would only look plain.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
