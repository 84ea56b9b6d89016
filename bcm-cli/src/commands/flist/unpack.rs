//! `bcm flist unpack`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcm_hub_sync::flist::{
    Accounts, Flist, FlistError, UnpackError, UnpackOptions, UnpackReport, unpack,
};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::sync::blocks::{FetchError, FetchOptions, fetch_blocks};
use indicatif::HumanCount;
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Held, for_each_batch, held, open, show};
use crate::args::flist::UnpackCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings::store;

/// Batches of keys that wait to be fetched.
const WANTED: usize = 8;

/// What was restored, and where.
#[derive(Debug, Serialize)]
struct Unpacked {
    flist: PathBuf,
    folder: PathBuf,
    #[serde(flatten)]
    report: UnpackReport,
}

/// Restores the tree of an flist.
pub(super) async fn run(context: &Context, args: &UnpackCommand) -> Result<ExitCode, Failure> {
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let flist = open(&args.flist)?;
    let (store, _temporary) = if args.from.is_empty() {
        let (data, _) = context.settings.data(args.data.data.as_deref())?;
        let (layout, access) = (Layout::new(&data), Access::ReadOnly);
        let store = store::open(&context.settings, &[], &layout, access)?;
        check_held(context, &flist, &*store, &data)?;
        (store, None)
    } else {
        let (store, temporary) = fetch(context, args, &flist, &cancel).await?;
        (store as Arc<dyn BlockStore>, Some(temporary))
    };
    let options = UnpackOptions {
        owners: args.owners.into(),
        accounts: Accounts::system().map_err(Failure::new)?,
        ..UnpackOptions::default()
    };
    let progress = context.reporter.progress();
    let report = tokio::task::block_in_place(|| {
        unpack(&flist, &*store, &args.to, &options, &*progress, &cancel)
    })
    .map_err(|error| match error {
        UnpackError::Cancelled => Failure::new(error).with_code(ExitCode::Interrupted),
        UnpackError::NotEmpty { .. } => {
            Failure::new(error).with_hint("choose a folder that is empty or does not exist yet")
        }
        error => Failure::new(error),
    })?;
    let code = match report.failed.is_empty() {
        true => ExitCode::Done,
        false => ExitCode::Partial,
    };
    context.printer.show(&Unpacked {
        flist: args.flist.flist.clone(),
        folder: args.to.clone(),
        report,
    })?;
    Ok(code)
}

/// Says beforehand when blocks are missing; when all are, there is no point in going on.
fn check_held(
    context: &Context,
    flist: &Flist,
    store: &dyn BlockStore,
    data: &Path,
) -> Result<(), Failure> {
    let Held { blocks, held } = held(flist, store)?;
    if held == blocks {
        return Ok(());
    }
    let text = format!(
        "{} of the flist's {} are not in {}",
        HumanCount(blocks - held),
        show::counted(blocks, "block", "blocks"),
        data.display()
    );
    if held > 0 {
        context.reporter.warn(&text);
        return Ok(());
    }
    let hint = match flist.backend() {
        Ok(Some(backend)) => format!(
            "--data names a data folder that has them, --from a 0-db; the flist says that they \
             are at {}",
            show::backend(&backend)
        ),
        _ => "--data names a data folder that has them, --from a 0-db".to_owned(),
    };
    Err(Failure::usage(text)
        .with_code(ExitCode::Failed)
        .with_hint(hint))
}

/// Fetches the blocks of an flist into a temporary store beside the folder that is unpacked into:
/// the same disk, which has to have the room anyway.
async fn fetch(
    context: &Context,
    args: &UnpackCommand,
    flist: &Flist,
    cancel: &CancellationToken,
) -> Result<(Arc<EmbeddedStore>, TempDir), Failure> {
    let beside = match args.to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let create_failed = |source| {
        Failure::new(FlistError::Io {
            operation: "create a temporary folder in",
            path: beside.to_owned(),
            source,
        })
    };
    std::fs::create_dir_all(beside).map_err(create_failed)?;
    let temporary = tempfile::Builder::new()
        .prefix(".bcm-blocks-")
        .tempdir_in(beside)
        .map_err(create_failed)?;
    let store = Arc::new(
        EmbeddedStore::open(temporary.path().join("blocks"), Access::ReadWrite)
            .map_err(Failure::new)?,
    );
    let (wanted, keys) = mpsc::channel(WANTED);
    let fetching = tokio::spawn({
        let options = FetchOptions::new(args.from.clone());
        let store: Arc<dyn BlockStore> = Arc::clone(&store) as _;
        let (progress, cancel) = (context.reporter.progress(), cancel.clone());
        async move { fetch_blocks(&options, keys, store, progress, cancel).await }
    });
    let listed = tokio::task::block_in_place(|| {
        for_each_batch(flist, |keys| match wanted.blocking_send(keys) {
            Ok(()) => ControlFlow::Continue(()),
            // The fetch ended; it says why.
            Err(_) => ControlFlow::Break(()),
        })
    });
    drop(wanted);
    let fetched = fetching.await.map_err(Failure::new)?;
    listed.map_err(Failure::new)?;
    match fetched {
        // What is missing is named with the files that it belongs to.
        Ok(_) => Ok((store, temporary)),
        Err(error @ FetchError::Cancelled { .. }) => {
            Err(Failure::new(error).with_code(ExitCode::Interrupted))
        }
        Err(error) => Err(Failure::new(error)),
    }
}

impl Show for Unpacked {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "unpacked {} into {}",
            self.flist.display(),
            self.folder.display()
        )?;
        writeln!(out, "  {}", show::tree(&report.tree))?;
        show::skipped(out, "not restored", &report.failed)
    }
}
