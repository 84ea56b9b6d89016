//! `bcm ssh`.

mod add;
mod connect;
mod list;
mod proxy;
mod remove;

use super::{Context, block_on};
use crate::args::ssh::SshCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::{self, Onions};

/// Carries out `bcm ssh …`.
pub(super) fn run(context: &Context, command: SshCommand) -> Result<ExitCode, Failure> {
    match command {
        SshCommand::AddOnion(args) => block_on(add::run(context, &args)),
        SshCommand::ListOnion => list::run(context),
        SshCommand::RemoveOnion(args) => block_on(remove::run(context, &args)),
        SshCommand::Connect(args) => connect::run(context, &args),
        SshCommand::Proxy { name } => block_on(proxy::run(context, &name)),
        SshCommand::Tor => block_on(async {
            onions::keep(context.settings.environment(), &load(context)?)
                .await
                .map_err(Failure::new)?;
            Ok(ExitCode::Done)
        }),
    }
}

fn load(context: &Context) -> Result<Onions, Failure> {
    Onions::load(&context.settings.environment().state_folder()).map_err(Failure::new)
}
