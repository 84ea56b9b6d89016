//! `bcm bootstrap link`.

use std::io::{self, Write};

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::link::{LinkError, Turn, Turned, link};
use serde::Serialize;

use crate::args::bootstrap::LinkCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;
use crate::settings;

/// What became, or would become, of a run mode.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    turned: Turned,
    dry_run: bool,
}

impl Show for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Turned {
            mode,
            from,
            to,
            pinned,
        } = &self.turned;
        let verb = if self.dry_run { "would lead" } else { "leads" };
        let stays = if *pinned {
            ", whatever upstream does"
        } else {
            ""
        };
        writeln!(out, "run mode {mode} {verb} to {to}{stays}")?;
        match from {
            Some(from) if from != to => writeln!(out, "before: {from}"),
            _ => Ok(()),
        }
    }
}

/// Turns a run mode.
pub(super) fn run(context: &Context, args: &LinkCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    settings::bootstrap::title(&context.settings, &args.mode)?;
    let turn = match (&args.kernel, args.pin) {
        (Some(kernel), true) => Turn::Pin(kernel.clone()),
        (Some(kernel), false) => Turn::To(kernel.clone()),
        (None, _) => Turn::Follow,
    };
    let turned = link(&Layout::new(data), &args.mode, &turn, args.dry_run);
    let turned = turned.map_err(|error| match error {
        LinkError::NoKernel(_) => Failure::new(error).with_hint(
            "`bcm bootstrap status` names the kernels; `--keep` of `bcm bootstrap sync` fetches one",
        ),
        error => Failure::new(error),
    })?;
    context.printer.show(&Shown {
        turned,
        dry_run: args.dry_run,
    })?;
    Ok(ExitCode::Done)
}
