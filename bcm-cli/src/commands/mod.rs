//! One file a command: settings → library configuration → call → report.

mod bootstrap;
mod cluster;
mod completions;
mod config;
mod dns;
mod flist;
mod host;
mod hub;
mod info;
mod man;
pub(crate) mod serving;
mod ssh;
mod stack;
mod written;

use crate::args::choices::Output;
use crate::args::global::GlobalArgs;
use crate::args::{Cli, Command};
use crate::diagnostics::Failure;
use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::reporter::Reporter;
use crate::settings::{Settings, key};

/// What every command works with.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) reporter: Reporter,
    pub(crate) output: Output,
}

impl Context {
    /// Reads the settings that every command has.
    ///
    /// # Errors
    /// The configuration is wrong; then with the reporter that can still be made.
    pub(crate) fn new(
        environment: Environment,
        global: &GlobalArgs,
    ) -> Result<Self, (Reporter, Failure)> {
        let settings = match Settings::load(environment.clone(), global.config.as_deref()) {
            Ok(settings) => settings,
            Err(error) => {
                let reporter =
                    Reporter::new(&environment, global.output.unwrap_or_default(), false);
                return Err((reporter, error.into()));
            }
        };
        let quiet = global.quiet.then_some(true);
        let resolved = settings
            .one(&key::OUTPUT, global.output)
            .and_then(|output| Ok((output, settings.one(&key::QUIET, quiet)?)));
        let (output, quiet) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                let reporter =
                    Reporter::new(&environment, global.output.unwrap_or_default(), false);
                return Err((reporter, error.into()));
            }
        };
        let reporter = Reporter::new(&environment, output, quiet);
        for (typed, meant) in settings.slips() {
            reporter.warn(&format!(
                "the variable {typed} means nothing to bcm; did you mean {meant}?"
            ));
        }
        Ok(Self {
            settings,
            printer: Printer::new(output),
            reporter,
            output,
        })
    }
}

/// Carries out what was typed.
///
/// # Errors
/// Why it ended without its result.
pub(crate) fn run(context: &Context, cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Info(args) => info::run(context, &args),
        Command::Config(command) => config::run(context, cli.global.config.as_deref(), command),
        Command::Hub(command) => hub::run(context, cli.global.config.as_deref(), &command),
        Command::Bootstrap(command) => bootstrap::run(context, &command),
        Command::Cluster(command) => cluster::run(context, &command),
        Command::Host(command) => host::run(context, &command),
        Command::Ssh(command) => ssh::run(context, command),
        Command::Stack(command) => stack::run(context, &command),
        Command::Dns(command) => dns::run(context, &command),
        Command::Flist(command) => flist::run(context, &command),
        Command::Completions { shell } => completions::run(context, shell),
        Command::Man { dir } => man::run(context, dir.as_deref()),
    }
}

/// Runs an asynchronous command to its end.
fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::new)?;
    runtime.block_on(command)
}
