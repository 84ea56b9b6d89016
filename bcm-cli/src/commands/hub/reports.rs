//! `bcm hub status --last`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::sync::SyncOutcome;
use bcm_hub_sync::sync::history::{self, Ended, Record};
use indicatif::HumanDuration;
use serde::Serialize;

use super::sync::show_report;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// The last syncs, the newest first.
#[derive(Debug, Serialize)]
struct Reports {
    data: PathBuf,
    syncs: Vec<Record>,
}

/// Shows the reports of the last syncs. The exit code is that of the last one.
pub(super) fn show(context: &Context, data: PathBuf, most: usize) -> Result<ExitCode, Failure> {
    let syncs = history::last(&Layout::new(&data), most).map_err(Failure::new)?;
    let code = match syncs.first().map(|record| &record.ended) {
        Some(Ended::Ran { report }) if report.outcome() == SyncOutcome::Complete => ExitCode::Done,
        Some(_) => ExitCode::Partial,
        None => ExitCode::Unhealthy,
    };
    context.printer.show(&Reports { data, syncs })?;
    Ok(code)
}

impl Show for Reports {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.syncs.is_empty() {
            writeln!(out, "{}: no sync has left a report", self.data.display())?;
        }
        for record in &self.syncs {
            show_record(&self.data, record, out)?;
        }
        Ok(())
    }
}

fn show_record(data: &Path, record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let ago = ago(record.started);
    let repeated = match record.times {
        1 => String::new(),
        times => format!(" (and {} before it, just so)", times - 1),
    };
    write!(out, "sync {}, {ago} ago{repeated}: ", record.number)?;
    match &record.ended {
        Ended::Ran { report } => {
            show_report(data, report, out)?;
            for warning in &report.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            Ok(())
        }
        Ended::Failed { error } => writeln!(out, "failed after {:.1} s: {error}", record.seconds),
        Ended::Interrupted => writeln!(out, "interrupted after {:.1} s", record.seconds),
        _ => writeln!(out, "ended in a way that this version does not know"),
    }
}

fn ago(seconds: i64) -> HumanDuration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    HumanDuration(SystemTime::now().duration_since(then).unwrap_or_default())
}
