//! `bcm ssh connect`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::args::ssh::ConnectCommand;
use crate::commands::{Context, block_on};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions;
use crate::vms;

/// Becomes an `ssh` to the machine.
pub(super) fn run(context: &Context, args: &ConnectCommand) -> Result<ExitCode, Failure> {
    let environment = context.settings.environment();
    let onions = super::load(context)?;
    if vms::fleet_of(environment, args.name.as_str()).is_some() {
        let after = args.ssh_config.as_ref();
        let after = after.map(|path| environment.folder.join(path));
        let config = vms::config_file(environment, after.as_deref()).map_err(Failure::new)?;
        return Err(become_ssh(&config, args));
    }
    let onion = onions
        .get(&args.name)
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?;
    let after = args
        .ssh_config
        .as_ref()
        .map(|path| environment.folder.join(path));
    let config =
        onions::config_file(environment, &onions, after.as_deref()).map_err(Failure::new)?;
    // ssh would wait for it without a word.
    block_on(async {
        let say = |text: &str| context.reporter.say(&format!("Tor: {text}"));
        onions::ready(environment, &onions, onion, say)
            .await
            .map_err(Failure::new)?;
        Ok(ExitCode::Done)
    })?;
    Err(become_ssh(&config, args))
}

/// Becomes ssh, or says why not.
fn become_ssh(config: &Path, args: &ConnectCommand) -> Failure {
    let error = Command::new("ssh")
        .arg("-F")
        .arg(config)
        .args(["--", args.name.as_str()])
        .args(&args.command)
        .exec();
    Failure::new(error).with_hint("Debian's package openssh-client has ssh")
}
