//! `bcm flist inspect`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use bcm_core::digest::Md5;
use bcm_hub_sync::flist::{BACKEND, FlistError, Summary};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::Access;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::{Held, held, open, show};
use crate::args::flist::InspectCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::store;

/// What `bcm flist inspect` answers.
#[derive(Debug, Serialize)]
struct Inspected {
    flist: PathBuf,
    md5: Md5,
    size: u64,
    summary: Summary,
    /// Where it says its blocks are, without the password.
    backend: Option<String>,
    /// All other metadata.
    metadata: BTreeMap<String, String>,
    /// How many of its blocks are in the data folder, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Held>,
}

/// Shows an flist's totals.
pub(super) fn run(context: &Context, args: &InspectCommand) -> Result<ExitCode, Failure> {
    let flist = open(&args.flist)?;
    let path = &args.flist.flist;
    let summary = flist.inspect().map_err(Failure::new)?;
    let (md5, size) = File::open(path)
        .and_then(|file| Ok((file.metadata()?.len(), file)))
        .and_then(|(size, file)| Ok((Md5::of_reader(file)?, size)))
        .map_err(|source| {
            Failure::new(FlistError::Io {
                operation: "read",
                path: path.clone(),
                source,
            })
        })?;
    let backend = match flist.backend() {
        Ok(backend) => backend.map(|backend| show::backend(&backend)),
        Err(error) => {
            context.reporter.warn(&error.to_string());
            None
        }
    };
    let store = match &args.data {
        None => None,
        Some(data) => {
            let (layout, access) = (Layout::new(data), Access::ReadOnly);
            let store = store::open(&context.settings, &[], &layout, access)?;
            Some(held(&flist, &*store)?)
        }
    };
    context.printer.show(&Inspected {
        flist: path.clone(),
        md5,
        size,
        summary,
        backend,
        metadata: flist
            .metadata()
            .iter()
            .filter(|(name, _)| *name != BACKEND)
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect(),
        store,
    })?;
    Ok(match store {
        Some(Held { blocks, held }) if held < blocks => ExitCode::Unhealthy,
        _ => ExitCode::Done,
    })
}

impl Show for Inspected {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let summary = &self.summary;
        let count = |number| HumanCount(number).to_string();
        let mut rows = vec![
            ("flist", self.flist.display().to_string()),
            ("size", HumanBytes(self.size).to_string()),
            ("md5", self.md5.to_string()),
            (
                "files",
                format!(
                    "{} ({})",
                    count(summary.tree.files),
                    HumanBytes(summary.tree.bytes)
                ),
            ),
            ("folders", count(summary.tree.directories)),
            ("links", count(summary.tree.links)),
            ("special files", count(summary.tree.specials)),
            ("references to blocks", count(summary.block_references)),
            ("newest", show::time(summary.newest)),
            (
                "backend",
                match &self.backend {
                    Some(backend) => backend.clone(),
                    None => "none: nodes ask the hub that they got it from".to_owned(),
                },
            ),
        ];
        if let Some(Held { blocks, held }) = self.store {
            rows.push((
                "in the data folder",
                format!("{} of {} blocks", count(held), count(blocks)),
            ));
        }
        for (name, text) in &self.metadata {
            let first = text.lines().next().unwrap_or_default();
            let more = if text.lines().count() > 1 { " …" } else { "" };
            rows.push((name, show::text(first) + more));
        }
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(name, value)| vec![show::text(name), value])
            .collect();
        table(out, &rows)
    }
}
