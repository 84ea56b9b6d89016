//! `bcm bootstrap`.

mod image;

use super::Context;
use crate::args::bootstrap::BootstrapCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm bootstrap …`.
pub(super) fn run(context: &Context, command: &BootstrapCommand) -> Result<ExitCode, Failure> {
    match command {
        BootstrapCommand::Image(args) => image::run(context, args),
    }
}
