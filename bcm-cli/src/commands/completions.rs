//! `bcm completions`.

use super::Context;
use crate::args;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Writes a completion script to stdout.
pub(super) fn run(context: &Context, shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "bcm", &mut script);
    context.printer.raw(&script)?;
    Ok(ExitCode::Done)
}
