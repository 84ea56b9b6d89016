//! `bcm hub`.

pub(crate) mod follow;
mod gc;
mod mode;
mod names;
mod pin;
mod publish;
mod reports;
mod serve;
mod snapshot;
mod status;
pub(crate) mod sync;
mod token;
pub(crate) mod verify;

use std::path::Path;

use super::{Context, block_on};
use crate::args::hub::HubCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm hub …`.
///
/// `named` is the `bcm.toml` that was named, for commands that change it.
pub(super) fn run(
    context: &Context,
    named: Option<&Path>,
    command: &HubCommand,
) -> Result<ExitCode, Failure> {
    match command {
        HubCommand::Sync(args) => block_on(sync::run(context, args)),
        HubCommand::Serve(args) => block_on(serve::run(context, args)),
        HubCommand::Status(args) => status::run(context, args),
        HubCommand::Verify(args) => block_on(verify::run(context, args)),
        HubCommand::Snapshot(command) => snapshot::run(context, command),
        HubCommand::Pin(args) => pin::pin(context, named, args),
        HubCommand::Unpin(args) => pin::unpin(context, named, args),
        HubCommand::Gc(args) => block_on(gc::run(context, args)),
        HubCommand::Detach(args) => mode::detach(context, args),
        HubCommand::Attach(args) => mode::attach(context, args),
        HubCommand::Standalone(args) => mode::standalone(context, args),
        HubCommand::Publish(args) => block_on(publish::run(context, args)),
        HubCommand::Link(args) => names::link(context, args),
        HubCommand::Tag(args) => names::tag(context, args),
        HubCommand::Rename(args) => names::rename(context, args),
        HubCommand::Remove(args) => names::remove(context, args),
        HubCommand::Token(command) => token::run(context, command),
    }
}
