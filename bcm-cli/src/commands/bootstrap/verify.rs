//! `bcm bootstrap verify`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::verify::{VerifyReport, verify};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::args::bootstrap::VerifyCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// What was found, and where.
#[derive(Debug, Serialize)]
struct Verified {
    data: PathBuf,
    #[serde(flatten)]
    report: VerifyReport,
}

impl Show for Verified {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "{}: {} kernels hashed ({}), {} run modes looked at",
            self.data.display(),
            HumanCount(report.kernels),
            HumanBytes(report.bytes),
            HumanCount(report.links)
        )?;
        for problem in &report.problems {
            let repaired = match problem.repaired {
                true => " (repaired; the next sync fetches what is missing)",
                false => "",
            };
            writeln!(out, "  {}: {}{repaired}", problem.subject, problem.problem)?;
        }
        for odd in &report.odd {
            writeln!(out, "  left alone: {odd}")?;
        }
        match report.is_clean() {
            true => writeln!(out, "nothing is damaged"),
            false => writeln!(out, "damaged or missing: {}", report.problems.len()),
        }
    }
}

/// Verifies.
pub(super) fn run(context: &Context, args: &VerifyCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    if !layout.kernels().is_dir() {
        let text = format!("{} holds no mirror of a Bootstrap", data.display());
        return Err(Failure::usage(text)
            .with_code(ExitCode::Failed)
            .with_hint("--data names the data folder; `bcm bootstrap sync` makes a mirror in it"));
    }
    let report = verify(&layout, args.repair).map_err(Failure::new)?;
    let code = match report.is_clean() {
        true => ExitCode::Done,
        false => ExitCode::Unhealthy,
    };
    context.printer.show(&Verified { data, report })?;
    Ok(code)
}
