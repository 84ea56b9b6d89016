//! `bcm stack list`, and where manifests are.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_stack::manifest::{Listed, Manifest, ManifestError, Whence, find, list};
use serde::Serialize;

use crate::args::stack::{ListCommand, StackArgs};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};

/// The folder with the user's manifests.
fn folder(context: &Context, said: Option<&Path>) -> PathBuf {
    let environment = context.settings.environment();
    if let Some(said) = said {
        return environment.folder.join(said);
    }
    let beside = environment.user_config();
    beside.map_or_else(
        || environment.folder.join("stacks"),
        |file| file.with_file_name("stacks"),
    )
}

/// The manifest that was meant.
pub(super) fn manifest(context: &Context, args: &StackArgs) -> Result<Manifest, Failure> {
    let folder = folder(context, args.stacks.as_deref());
    find(&args.name, &folder).map_err(|error| match error {
        error @ ManifestError::Unknown { .. } => Failure::new(error)
            .with_hint(format!(
                "a stack of your own is a file NAME.toml in {}",
                folder.display()
            ))
            .with_code(ExitCode::Usage),
        error => Failure::new(error).with_code(ExitCode::Usage),
    })
}

#[derive(Debug, Serialize)]
struct Stacks {
    folder: PathBuf,
    stacks: Vec<Listed>,
}

impl Show for Stacks {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = |listed: &Listed| {
            let whence = match listed.whence {
                Whence::BuiltIn => "built in",
                Whence::Folder => "yours",
            };
            let about = match &listed.wrong {
                // A mistake in the file is shown in full where the stack is started.
                Some(wrong) => format!(
                    "CANNOT BE USED: {}",
                    wrong.lines().next().unwrap_or_default()
                ),
                None => listed.about.clone(),
            };
            vec![listed.name.clone(), whence.to_owned(), about]
        };
        table(out, &self.stacks.iter().map(row).collect::<Vec<_>>())?;
        writeln!(out, "your own are looked for in {}", self.folder.display())
    }
}

/// Lists the manifests.
pub(super) fn run(context: &Context, args: &ListCommand) -> Result<ExitCode, Failure> {
    let folder = folder(context, args.stacks.as_deref());
    let stacks = list(&folder).map_err(Failure::new)?;
    context.printer.show(&Stacks { folder, stacks })?;
    Ok(ExitCode::Done)
}
