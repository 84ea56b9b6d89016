//! `bcm hub`.

pub(crate) mod follow;
mod gc;
mod reports;
mod serve;
mod snapshot;
mod status;
pub(crate) mod sync;
pub(crate) mod verify;

use super::{Context, block_on};
use crate::args::hub::HubCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm hub …`.
pub(super) fn run(context: &Context, command: &HubCommand) -> Result<ExitCode, Failure> {
    match command {
        HubCommand::Sync(args) => block_on(sync::run(context, args)),
        HubCommand::Serve(args) => block_on(serve::run(context, args)),
        HubCommand::Status(args) => status::run(context, args),
        HubCommand::Verify(args) => block_on(verify::run(context, args)),
        HubCommand::Snapshot(command) => snapshot::run(context, command),
        HubCommand::Gc(args) => block_on(gc::run(context, args)),
    }
}
