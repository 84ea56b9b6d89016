//! `bcm hub pin` and `bcm hub unpin`: `hub.pin` of `bcm.toml`, an entry at a time.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::args::hub::{PinCommand, UnpinCommand};
use crate::commands::{Context, config};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;
use crate::settings::edit::Edit;
use crate::settings::{Origin, key};

/// What is pinned.
#[derive(Debug, Serialize)]
struct Pins {
    pins: Vec<String>,
    from: Origin,
}

impl Show for Pins {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.pins.iter().try_for_each(|pin| writeln!(out, "{pin}"))
    }
}

/// What became, or would become, of `bcm.toml`.
#[derive(Debug, Serialize)]
struct Changed {
    path: PathBuf,
    pins: Vec<String>,
    written: bool,
    content: String,
}

impl Show for Changed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.written {
            true => self.pins.iter().try_for_each(|pin| writeln!(out, "{pin}")),
            false => out.write_all(self.content.as_bytes()),
        }
    }
}

/// Adds to what is pinned, or lists it.
pub(super) fn pin(
    context: &Context,
    named: Option<&Path>,
    args: &PinCommand,
) -> Result<ExitCode, Failure> {
    if args.patterns.is_empty() {
        let (pins, from) = context.settings.many(&key::PIN, &[])?;
        if pins.is_empty() {
            context.reporter.say("nothing is pinned");
        }
        context.printer.show(&Pins { pins, from })?;
        return Ok(ExitCode::Done);
    }
    let mut pins = written(context);
    for pattern in &args.patterns {
        if !pins.contains(pattern) {
            pins.push(pattern.clone());
        }
    }
    write(context, named, pins, args.dry_run)
}

/// Takes out of what is pinned.
pub(super) fn unpin(
    context: &Context,
    named: Option<&Path>,
    args: &UnpinCommand,
) -> Result<ExitCode, Failure> {
    let mut pins = written(context);
    for pattern in &args.patterns {
        let Some(at) = pins.iter().position(|pin| pin == pattern) else {
            return Err(Failure::usage(format!("{pattern:?} is not pinned"))
                .with_hint("`bcm hub pin` lists what is"));
        };
        pins.remove(at);
    }
    write(context, named, pins, args.dry_run)
}

/// What the file pins, whatever a variable says.
fn written(context: &Context) -> Vec<String> {
    let file = context.settings.file();
    let pins = file.and_then(|file| file.get(key::PIN.meta.name));
    pins.map(<[String]>::to_vec).unwrap_or_default()
}

fn write(
    context: &Context,
    named: Option<&Path>,
    pins: Vec<String>,
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    let path = config::file_to_edit(context, named)?;
    let edit = Edit::load(&path).map_err(Failure::new)?;
    let content = edit.with(&key::PIN.meta, &pins);
    if !dry_run {
        edit.write(&content).map_err(Failure::new)?;
        let path = path.display();
        context.reporter.say(&format!("set `hub.pin` in {path}"));
    }
    if context.settings.texts(&key::PIN).1 == Origin::Environment {
        let variable = key::PIN.meta.variable();
        let text = format!("the variable {variable} is set, and stands over the file");
        context.reporter.warn(&text);
    }
    context.printer.show(&Changed {
        path,
        pins,
        written: !dry_run,
        content,
    })?;
    Ok(ExitCode::Done)
}
