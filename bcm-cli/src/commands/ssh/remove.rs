//! `bcm ssh remove-onion`.

use std::io::{self, Write};

use bcm_lxd::host::tor_client;
use bcm_ssh::Local;
use bcm_ssh::onion::tor;
use serde::Serialize;

use crate::args::ssh::RemoveCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::{self, OnionName, Through};
use crate::printer::Show;
use crate::registry::Registry;

/// What `remove-onion` answers.
#[derive(Debug, Serialize)]
struct Removed {
    name: OnionName,
    dry_run: bool,
    changes: Vec<String>,
}

/// Forgets a machine.
pub(super) async fn run(context: &Context, args: &RemoveCommand) -> Result<ExitCode, Failure> {
    let environment = context.settings.environment();
    let mut onions = super::load(context)?;
    let onion = onions
        .get(&args.name)
        .map_err(|error| Failure::new(error).with_code(ExitCode::Usage))?
        .clone();
    if let Ok(registry) = Registry::load(&environment.state_folder()) {
        for (cluster, known) in registry.clusters() {
            let bare = |host: &String| host.rsplit('@').next() == Some(args.name.as_str());
            if known.hosts.iter().any(bare) {
                context.reporter.warn(&format!(
                    "the cluster {cluster} is reached through {}, too",
                    args.name
                ));
            }
        }
    }
    let last = !onions
        .hosts()
        .iter()
        .any(|(name, other)| *name != args.name && other.through == Through::OwnTor);
    let mut changes = Vec::new();
    if let Through::SystemTor(_) = onion.through {
        changes.push("take the key from the system's Tor".to_owned());
        if !args.dry_run {
            tor_client::forget(&Local::new(), args.name.as_str())
                .await
                .map_err(Failure::new)?;
        }
    }
    if onion.key {
        changes.push("remove the client's key".to_owned());
    }
    changes.push(format!("forget {}", onion.address));
    if !args.dry_run {
        onions.remove(&args.name).map_err(Failure::new)?;
    }
    if last && onion.through == Through::OwnTor {
        changes.push("end your own Tor, and remove what it kept".to_owned());
        if !args.dry_run {
            tor::stop(&onions::own_tor(environment, &onions)).await;
            onions.remove_tor().map_err(Failure::new)?;
        }
    }
    context.printer.show(&Removed {
        name: args.name.clone(),
        dry_run: args.dry_run,
        changes,
    })?;
    Ok(ExitCode::Done)
}

impl Show for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        super::add::write_changes(out, &self.changes, self.dry_run)
    }
}
