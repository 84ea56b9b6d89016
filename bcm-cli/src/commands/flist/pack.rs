//! `bcm flist pack`.

use std::io::{self, Write};
use std::path::PathBuf;

use bcm_hub_sync::flist::{
    Accounts, FlistError, PackError, PackOptions, PackReport, Unpackable, pack,
};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::Access;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::show;
use crate::args::flist::PackCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings::store;

/// What was packed, and where it is.
#[derive(Debug, Serialize)]
struct Packed {
    folder: PathBuf,
    flist: PathBuf,
    data: PathBuf,
    #[serde(flatten)]
    report: PackReport,
}

/// Makes an flist of a folder.
pub(super) async fn run(context: &Context, args: &PackCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let layout = Layout::new(&data);
    std::fs::create_dir_all(layout.hub()).map_err(|source| {
        Failure::new(FlistError::Io {
            operation: "create",
            path: layout.hub(),
            source,
        })
    })?;
    let store = store::open(&context.settings, &[], &layout, Access::ReadWrite)?;
    let options = PackOptions {
        backend: args.backend.clone(),
        metadata: args.metadata.clone(),
        accounts: Accounts::system().map_err(Failure::new)?,
        unpackable: match args.skip_unreadable {
            true => Unpackable::Skip,
            false => Unpackable::Fail,
        },
        ..PackOptions::default()
    };
    let progress = context.reporter.progress();
    let report = tokio::task::block_in_place(|| {
        pack(
            &args.folder,
            &args.out,
            &*store,
            &options,
            &*progress,
            &cancel,
        )
    })
    .map_err(failure)?;
    let code = match report.skipped.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Partial,
    };
    context.printer.show(&Packed {
        folder: args.folder.clone(),
        flist: args.out.clone(),
        data,
        report,
    })?;
    Ok(code)
}

fn failure(error: PackError) -> Failure {
    match error {
        PackError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
        PackError::NotUtf8 { .. } | PackError::Changed { .. } => Failure::new(error)
            .with_hint("--skip-unreadable leaves out what cannot be packed, and names it"),
        error => Failure::new(error),
    }
}

impl Show for Packed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "packed {} into {} ({})",
            self.folder.display(),
            self.flist.display(),
            HumanBytes(report.size)
        )?;
        writeln!(out, "  tree    {}", show::tree(&report.tree))?;
        writeln!(
            out,
            "  blocks  {} new in {} ({} in all)",
            HumanCount(report.new_blocks),
            self.data.display(),
            show::counted(report.block_references, "reference", "references")
        )?;
        writeln!(out, "  md5     {}", report.md5)?;
        show::skipped(out, "left out", &report.skipped)
    }
}
