//! Files that a command puts into a folder of the user's, as it shows them.

use std::io::{self, Write};

use bcm_core::folder_files::{Change, WriteError};
use serde::Serialize;

use crate::diagnostics::Failure;
use crate::printer::table;

/// One of them, and what became of it, or would.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) change: Change,
}

/// Shows them in a table.
pub(super) fn show(out: &mut dyn Write, files: &[Written]) -> io::Result<()> {
    let row = |file: &Written| {
        let change = match file.change {
            Change::Created => "created",
            Change::Unchanged => "unchanged",
            Change::Replaced => "replaced",
        };
        [&file.name, change, &file.about]
            .map(str::to_owned)
            .to_vec()
    };
    table(out, &files.iter().map(row).collect::<Vec<_>>())
}

/// Why they could not be written, with what to do where somebody changed them.
pub(super) fn failure(error: WriteError) -> Failure {
    match error {
        error @ WriteError::Different { .. } => {
            Failure::new(error).with_hint("--replace overwrites them; another --out keeps them")
        }
        error => Failure::new(error),
    }
}
