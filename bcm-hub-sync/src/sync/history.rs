//! The reports of the last syncs, in `hub/reports/`: one small file each.
//!
//! They are for people and for monitoring; no sync depends on them, so one that is lost or damaged
//! is left out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use serde::{Deserialize, Serialize};

use super::error::SyncError;
use super::report::SyncReport;
use crate::layout::Layout;

/// How many reports are kept.
pub const KEPT: u64 = 50;

/// How many refused or deferred entries a kept report names of each.
const NAMED: usize = 100;

/// The largest file that is taken for a report.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A sync as it is remembered. Times are in seconds since 1970, by this machine's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts up from 1.
    pub number: u64,
    /// When it began.
    pub started: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many syncs in a row ended just so; only the last of them is kept.
    pub times: u64,
    /// When the first of these began.
    pub since: i64,
    /// How it ended.
    pub ended: Ended,
}

/// How a sync ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// It ran to its end.
    Ran {
        /// What it did.
        report: Box<SyncReport>,
    },
    /// It could not go on.
    Failed {
        /// Why, with all causes, in one line.
        error: String,
    },
    /// It was told to stop.
    Interrupted,
}

impl Ended {
    /// How `result` is remembered.
    pub(crate) fn of(result: &Result<SyncReport, SyncError>) -> Self {
        match result {
            Ok(report) => {
                let mut report = Box::new(report.clone());
                report.refused.truncate(NAMED);
                report.deferred.truncate(NAMED);
                report.warnings.truncate(NAMED);
                Self::Ran { report }
            }
            Err(SyncError::Cancelled) => Self::Interrupted,
            Err(error) => Self::Failed {
                error: error.chain(),
            },
        }
    }

    /// Whether nothing but the time differs, so that one record can stand for both.
    fn is_like(&self, other: &Self) -> bool {
        let uneventful = |report: &SyncReport| {
            report.nothing_to_do && report.refused_total + report.deferred_total == 0
        };
        match (self, other) {
            (Self::Ran { report: a }, Self::Ran { report: b }) => {
                uneventful(a) && uneventful(b) && a.warnings == b.warnings
            }
            (Self::Failed { error: a }, Self::Failed { error: b }) => a == b,
            _ => false,
        }
    }
}

/// The last `most` records, the newest first.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn last(layout: &Layout, most: usize) -> io::Result<Vec<Record>> {
    let folder = layout.reports();
    let numbers = numbers(&folder)?;
    let records = numbers.iter().rev();
    Ok(records
        .filter_map(|number| read(&folder, *number))
        .take(most)
        .collect())
}

/// Keeps how a sync ended, and drops the oldest records.
///
/// # Errors
/// The folder cannot be written. What was kept before stays.
pub(crate) fn keep(layout: &Layout, started: i64, seconds: f64, ended: Ended) -> io::Result<()> {
    let folder = layout.reports();
    fs::create_dir_all(&folder)?;
    let numbers = numbers(&folder)?;
    let newest = numbers.last().copied();
    let before = newest.and_then(|number| read(&folder, number));
    let mut record = Record {
        number: newest.unwrap_or(0) + 1,
        started,
        seconds,
        times: 1,
        since: started,
        ended,
    };
    if let Some(before) = before.filter(|before| before.ended.is_like(&record.ended)) {
        record.number = before.number;
        record.times = before.times.saturating_add(1);
        record.since = before.since;
    }
    let text = serde_json::to_vec(&record)?;
    let path = path(&folder, record.number);
    atomic_file::write(&path, &text, 0o644)
        .map_err(|error| io::Error::new(error.io_error().kind(), error))?;
    for old in numbers {
        if old + KEPT <= record.number {
            fs::remove_file(self::path(&folder, old))?;
        }
    }
    Ok(())
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.json"))
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read(folder: &Path, number: u64) -> Option<Record> {
    let path = path(folder, number);
    if fs::metadata(&path).ok()?.len() > MAX_BYTES {
        return None;
    }
    let record: Record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    (record.number == number).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: &str) -> Ended {
        let error = error.to_owned();
        Ended::Failed { error }
    }

    #[test]
    fn repeated_failures_are_one_record_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(last(&layout, 9).unwrap(), []);
        for time in 1..=3 {
            keep(&layout, time, 0.5, failed("down")).unwrap();
        }
        keep(&layout, 4, 0.5, Ended::Interrupted).unwrap();
        let records = last(&layout, 9).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].ended, Ended::Interrupted);
        let repeated = &records[1];
        assert_eq!(
            (
                repeated.number,
                repeated.times,
                repeated.since,
                repeated.started
            ),
            (1, 3, 1, 3)
        );
        for time in 0..2 * KEPT as i64 {
            keep(&layout, time, 0.5, failed(&time.to_string())).unwrap();
        }
        let records = last(&layout, usize::MAX).unwrap();
        assert_eq!(records.len(), KEPT as usize);
        assert_eq!(records[0].ended, failed(&(2 * KEPT - 1).to_string()));
    }

    #[test]
    fn a_damaged_record_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        keep(&layout, 1, 0.5, failed("one")).unwrap();
        keep(&layout, 2, 0.5, failed("two")).unwrap();
        fs::write(path(&layout.reports(), 2), "{").unwrap();
        fs::write(layout.reports().join("notes.txt"), "").unwrap();
        assert_eq!(last(&layout, 9).unwrap().len(), 1);
        keep(&layout, 3, 0.5, failed("three")).unwrap();
        assert_eq!(last(&layout, 9).unwrap()[0].number, 3);
    }
}
