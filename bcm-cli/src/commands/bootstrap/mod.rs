//! `bcm bootstrap`.

mod image;
mod link;
mod serve;
mod status;
pub(crate) mod sync;
mod verify;

use super::{Context, block_on};
use crate::args::bootstrap::BootstrapCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm bootstrap …`.
pub(super) fn run(context: &Context, command: &BootstrapCommand) -> Result<ExitCode, Failure> {
    match command {
        BootstrapCommand::Sync(args) => block_on(sync::run(context, args)),
        BootstrapCommand::Serve(args) => block_on(serve::run(context, args)),
        BootstrapCommand::Status(args) => status::run(context, args),
        BootstrapCommand::Verify(args) => verify::run(context, args),
        BootstrapCommand::Link(args) => link::run(context, args),
        BootstrapCommand::Image(args) => image::run(context, args),
    }
}
