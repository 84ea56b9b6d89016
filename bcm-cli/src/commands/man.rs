//! `bcm man`.

use std::path::Path;

use super::Context;
use crate::args;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// The manual cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the manual to {}", path.display())]
struct ManError {
    path: std::path::PathBuf,
    source: std::io::Error,
}

/// Writes `bcm.1` to stdout, or a page for every command into a folder.
pub(super) fn run(context: &Context, dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(args::command())
            .render(&mut page)
            .map_err(|source| {
                Failure::new(ManError {
                    path: "memory".into(),
                    source,
                })
            })?;
        context.printer.raw(&page)?;
        return Ok(ExitCode::Done);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(args::command(), dir))
        .map_err(|source| {
            Failure::new(ManError {
                path: dir.to_owned(),
                source,
            })
        })?;
    context
        .reporter
        .say(&format!("wrote the manual to {}", dir.display()));
    Ok(ExitCode::Done)
}
