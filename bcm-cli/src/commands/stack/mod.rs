//! `bcm stack`.

mod bootstrap;
mod cluster;
mod deploy;
mod growth;
mod here;
mod image;
mod list;
mod logs;
mod material;
mod mode;
mod remove;
mod render;
mod room;
mod run;
mod status;

use super::{Context, block_on};
use crate::args::stack::StackCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// Carries out `bcm stack …`.
pub(super) fn run(context: &Context, command: &StackCommand) -> Result<ExitCode, Failure> {
    match command {
        StackCommand::Start(args) if args.here => block_on(here::start(context, args)),
        StackCommand::Start(args) => block_on(deploy::start(context, args)),
        StackCommand::Status(args) => block_on(status::run(context, args)),
        StackCommand::Logs(args) => block_on(logs::run(context, args)),
        StackCommand::Run(args) => block_on(run::run(context, args)),
        StackCommand::List(args) => list::run(context, args),
        StackCommand::Stop(args) => block_on(remove::stop(context, args)),
        StackCommand::Remove(args) => block_on(remove::run(context, args)),
        StackCommand::Render(command) => render::run(context, command),
    }
}
