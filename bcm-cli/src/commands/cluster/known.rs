//! `bcm cluster list`, `use` and `show`: what is known without asking a machine.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{Chosen, registry};
use crate::args::cluster::ReachArgs;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::registry::Known;

/// What `list` answers.
#[derive(Debug, Serialize)]
struct List {
    active: Option<String>,
    clusters: BTreeMap<String, Known>,
}

impl Show for List {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.clusters.is_empty() {
            return writeln!(out, "no clusters; `bcm cluster create` makes one");
        }
        let rows: Vec<Vec<String>> = self
            .clusters
            .iter()
            .map(|(name, known)| {
                let mark = if self.active.as_ref() == Some(name) {
                    "*"
                } else {
                    " "
                };
                vec![
                    format!("{mark} {name}"),
                    known.engine.to_string(),
                    known.hosts.join(", "),
                ]
            })
            .collect();
        table(out, &rows)
    }
}

/// Lists the clusters.
pub(super) fn list(context: &Context) -> Result<ExitCode, Failure> {
    let registry = registry(context)?;
    context.printer.show(&List {
        active: registry.active().map(str::to_owned),
        clusters: registry.clusters().clone(),
    })?;
    Ok(ExitCode::Done)
}

/// Chooses a cluster.
pub(super) fn choose(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    registry(context)?.activate(name)?;
    context.reporter.say(&format!("using the cluster {name}"));
    Ok(ExitCode::Done)
}

/// What `show` answers.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    #[serde(flatten)]
    known: Known,
}

impl Show for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            row("cluster", self.name.clone()),
            row("engine", self.known.engine.to_string()),
            row("machines", self.known.hosts.join(", ")),
        ];
        if let Some(path) = &self.known.ssh_config {
            rows.push(row("ssh_config", path.display().to_string()));
        }
        table(out, &rows)
    }
}

/// Shows what is known of a cluster.
pub(super) fn show(context: &Context, args: &ReachArgs) -> Result<ExitCode, Failure> {
    let chosen = Chosen::new(context, args)?;
    context.printer.show(&Shown {
        name: chosen.name,
        known: chosen.known,
    })?;
    Ok(ExitCode::Done)
}
