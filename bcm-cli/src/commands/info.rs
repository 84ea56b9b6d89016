//! `bcm info`.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use crate::args::hub::DataArgs;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::registry::{Known, Registry};
use crate::settings::{Origin, config_path};

/// What `bcm info` answers.
#[derive(Debug, Serialize)]
struct Info {
    version: &'static str,
    target: String,
    /// The `bcm.toml` in use.
    config: Option<PathBuf>,
    /// Where one would be looked for, when there is none.
    config_searched: Vec<PathBuf>,
    data: PathBuf,
    data_from: Origin,
    /// Whether the data folder holds a mirror.
    mirror: bool,
    /// The cluster that commands work on.
    cluster: Option<ActiveCluster>,
}

#[derive(Debug, Serialize)]
struct ActiveCluster {
    name: String,
    #[serde(flatten)]
    known: Known,
}

/// Shows version, files and settings in use.
pub(super) fn run(context: &Context, args: &DataArgs) -> Result<ExitCode, Failure> {
    let settings = &context.settings;
    let (data, data_from) = settings.data(args.data.as_deref())?;
    let environment = settings.environment();
    let config = settings.file().map(|file| file.path.clone());
    let config_searched = match config {
        Some(_) => Vec::new(),
        None => [
            Some(environment.folder.join("bcm.toml")),
            config_path(environment, None).0,
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let cluster = match Registry::load(&environment.state_folder()) {
        Ok(registry) => registry.find(None).ok().map(|(name, known)| ActiveCluster {
            name: name.to_owned(),
            known: known.clone(),
        }),
        Err(error) => {
            context.reporter.warn(&error.to_string());
            None
        }
    };
    context.printer.show(&Info {
        version: env!("CARGO_PKG_VERSION"),
        target: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        config,
        config_searched,
        mirror: bcm_hub_sync::layout::Layout::new(&data).users().is_dir(),
        data,
        data_from,
        cluster,
    })?;
    Ok(ExitCode::Done)
}

impl Show for Info {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            row("version", format!("{} ({})", self.version, self.target)),
            row(
                "configuration",
                match &self.config {
                    Some(path) => path.display().to_string(),
                    None => "none; all settings have their defaults".to_owned(),
                },
            ),
        ];
        for path in &self.config_searched {
            rows.push(row("  looked for", path.display().to_string()));
        }
        let mirror = match self.mirror {
            true => "holds a mirror of a hub",
            false => "no mirror yet; `bcm hub sync` makes one",
        };
        rows.push(row(
            "data folder",
            format!("{} ({})", self.data.display(), self.data_from.as_str()),
        ));
        rows.push(row("", mirror.to_owned()));
        rows.push(row(
            "cluster",
            match &self.cluster {
                Some(ActiveCluster { name, known }) => {
                    format!("{name} ({} on {})", known.engine, known.hosts.join(", "))
                }
                None => "none in use; `bcm cluster create` makes one".to_owned(),
            },
        ));
        table(out, &rows)
    }
}
