//! `bcm host`.

mod autoinstall;
mod check;
mod keys;
mod prepare;

use super::{Context, block_on};
use crate::args::host::HostCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm host …`.
pub(super) fn run(context: &Context, command: &HostCommand) -> Result<ExitCode, Failure> {
    match command {
        HostCommand::Autoinstall(args) => autoinstall::run(context, args),
        HostCommand::Check(args) => block_on(check::run(context, args)),
        HostCommand::Prepare(args) => block_on(prepare::run(context, args)),
    }
}
