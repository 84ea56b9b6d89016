//! Results, on stdout. A reader that goes away (`bcm … | head`) is no error.

use std::io::{self, Write};

use bcm_core::refused::Refused;
use indicatif::HumanCount;
use serde::Serialize;

use crate::args::choices::Output;

/// A result that can be shown to people and to programs. Its JSON shape is part of the interface.
pub(crate) trait Show: Serialize {
    /// Writes it for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes results to stdout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    output: Output,
}

/// Stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write to standard output")]
pub(crate) struct PrintError {
    source: io::Error,
}

impl Printer {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Shows a result.
    ///
    /// # Errors
    /// Stdout cannot be written, for another reason than that its reader went away.
    pub(crate) fn show(&self, result: &impl Show) -> Result<(), PrintError> {
        self.write(|out| match self.output {
            Output::Text => result.text(out),
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, result).map_err(io::Error::from)?;
                out.write_all(b"\n")
            }
        })
    }

    /// Writes bytes that have one form only, such as a completion script.
    ///
    /// # Errors
    /// As [`Printer::show`].
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), PrintError> {
        self.write(|out| out.write_all(bytes))
    }

    fn write(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), PrintError> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(PrintError { source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Names entries with their reasons, a line each; of `total`, those that were kept.
pub(crate) fn named(
    out: &mut dyn Write,
    what: &str,
    entries: &[Refused],
    total: u64,
) -> io::Result<()> {
    if total == 0 {
        return Ok(());
    }
    writeln!(out, "{what}: {}", HumanCount(total))?;
    for Refused { subject, reason } in entries {
        writeln!(out, "  {subject}: {reason}")?;
    }
    match total.saturating_sub(entries.len() as u64) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more", HumanCount(more)),
    }
}

/// Columns of text: every column but the last as wide as its widest cell.
pub(crate) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row: &Vec<String>| Some(row.get(column)?.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
