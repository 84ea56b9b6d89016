//! The `bcm` command.
//!
//! It is thin: arguments, environment and `bcm.toml` become the configuration of a library, the
//! library does the work, and what it reports is shown. Results go to stdout, everything else to
//! stderr. Only here is anything printed, and only here are the environment and the home
//! directory looked at.

mod args;
mod commands;
mod connect;
mod demo;
mod diagnostics;
mod environment;
mod exit_code;
mod interrupt;
mod logging;
mod onions;
mod printer;
mod registry;
mod reporter;
mod run_log;
mod settings;
mod ssh_config;
mod vms;

use std::io::Write;

use bcm_core::redact;
use clap::FromArgMatches;

use crate::commands::Context;
use crate::environment::Environment;
use crate::exit_code::ExitCode;

fn main() -> std::process::ExitCode {
    run(Environment::snapshot()).into()
}

fn run(environment: Environment) -> ExitCode {
    let parsed = args::command()
        .try_get_matches()
        .and_then(|matches| args::Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results: they go to stdout, and a closed pipe is no error.
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::Done;
            }
            // It repeats what was given, which may have a password in it.
            let text = error.render().to_string();
            let hidden = redact::text(&text);
            let _ = match hidden == text {
                true => error.print(),
                false => std::io::stderr().write_all(hidden.as_bytes()),
            };
            return ExitCode::Usage;
        }
    };
    let context = match Context::new(environment, &cli.global) {
        Ok(context) => context,
        Err((reporter, failure)) => {
            reporter.error(&failure.report());
            return failure.code();
        }
    };
    let kept = matches!(cli.command, args::Command::Cluster(_));
    logging::start(&context, cli.global.verbose, kept);
    match commands::run(&context, cli) {
        Ok(code) => code,
        Err(failure) => {
            context.reporter.error(&failure.report());
            failure.code()
        }
    }
}
