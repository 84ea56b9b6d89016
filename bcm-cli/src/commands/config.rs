//! `bcm config`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use crate::args::config::ConfigCommand;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::{Show, table};
use crate::settings::edit::Edit;
use crate::settings::key::{self, AnyKey, Kind};
use crate::settings::{Origin, config_path};

/// Carries out `bcm config …`.
pub(super) fn run(
    context: &Context,
    named: Option<&Path>,
    command: ConfigCommand,
) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Get { key } => get(context, key.as_deref()),
        ConfigCommand::Set {
            key,
            values,
            dry_run,
        } => set(context, named, &key, &values, dry_run),
        ConfigCommand::Path => path(context, named),
    }
}

/// A setting and its value: `{"key", "value", "from"}`, where the value is a string, an array of
/// strings, or null when nobody said anything.
#[derive(Debug, Serialize)]
struct Setting {
    key: &'static str,
    value: serde_json::Value,
    from: Origin,
    #[serde(skip)]
    text: String,
}

impl Setting {
    fn of(context: &Context, key: &dyn AnyKey) -> Result<Self, Failure> {
        let meta = key.meta();
        let (mut texts, from) = context.settings.texts(key);
        for text in &texts {
            key.check(text)
                .map_err(|why| Failure::usage(format!("{}: {why}", meta.variable())))?;
        }
        if meta.name == key::DATA.meta.name {
            texts = vec![context.settings.data(None)?.0.display().to_string()];
        }
        for text in &mut texts {
            // A password in an address is shown to nobody.
            *text = bcm_core::redact::url(text);
        }
        let value = match (meta.kind, texts.as_slice()) {
            (Kind::Texts, texts) => texts.into(),
            (_, []) => serde_json::Value::Null,
            (_, [text, ..]) => text.as_str().into(),
        };
        let text = match texts.is_empty() {
            true => meta.default_for_people().replace('`', ""),
            false => texts.join(" "),
        };
        Ok(Self {
            key: meta.name,
            value,
            from,
            text,
        })
    }
}

impl Show for Setting {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.value {
            serde_json::Value::Array(values) => values
                .iter()
                .filter_map(serde_json::Value::as_str)
                .try_for_each(|value| writeln!(out, "{value}")),
            value => writeln!(out, "{}", value.as_str().unwrap_or_default()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct AllSettings(Vec<Setting>);

impl Show for AllSettings {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .map(|setting| {
                vec![
                    setting.key.to_owned(),
                    setting.from.as_str().to_owned(),
                    setting.text.clone(),
                ]
            })
            .collect();
        table(out, &rows)
    }
}

/// The key of this name, or an error that says which one may be meant.
fn find(name: &str) -> Result<&'static dyn AnyKey, Failure> {
    key::find(name).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no setting `{name}`"));
        match key::meant(name) {
            Some(close) => failure.with_hint(format!("did you mean `{close}`?")),
            None => failure.with_hint("`bcm config get` lists every setting"),
        }
    })
}

fn get(context: &Context, name: Option<&str>) -> Result<ExitCode, Failure> {
    match name {
        Some(name) => context.printer.show(&Setting::of(context, find(name)?)?)?,
        None => {
            let settings: Result<_, _> = key::ALL
                .iter()
                .map(|key| Setting::of(context, *key))
                .collect();
            context.printer.show(&AllSettings(settings?))?;
        }
    }
    Ok(ExitCode::Done)
}

/// What `bcm config set` did.
#[derive(Debug, Serialize)]
struct Written {
    path: PathBuf,
    written: bool,
    content: String,
}

impl Show for Written {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.written {
            true => Ok(()),
            false => out.write_all(self.content.as_bytes()),
        }
    }
}

fn set(
    context: &Context,
    named: Option<&Path>,
    name: &str,
    values: &[String],
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    let key = find(name)?;
    let meta = key.meta();
    for value in values {
        key.check(value)
            .map_err(|why| Failure::usage(format!("`{name}`: {why}")))?;
    }
    if meta.kind != Kind::Texts && values.len() > 1 {
        return Err(Failure::usage(format!(
            "`{name}` takes {}, not {} values",
            meta.kind.expected(),
            values.len()
        )));
    }
    let path = file_to_edit(context, named)?;
    let edit = Edit::load(&path).map_err(Failure::new)?;
    let content = edit.with(meta, values);
    if !dry_run {
        edit.write(&content).map_err(Failure::new)?;
        context
            .reporter
            .say(&format!("set `{name}` in {}", path.display()));
    }
    context.printer.show(&Written {
        path,
        written: !dry_run,
        content,
    })?;
    Ok(ExitCode::Done)
}

/// The `bcm.toml` that is in use, or the one that would be made.
pub(super) fn file_to_edit(context: &Context, named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match context.settings.file() {
        Some(file) => Some(file.path.clone()),
        None => config_path(context.settings.environment(), named).0,
    };
    path.ok_or_else(|| {
        Failure::usage("there is no home folder to keep a bcm.toml in")
            .with_hint("name a file with --config")
    })
}

/// The answer to `bcm config path`.
#[derive(Debug, Serialize)]
struct ConfigPath {
    path: Option<PathBuf>,
    exists: bool,
}

impl Show for ConfigPath {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.path {
            Some(path) => writeln!(out, "{}", path.display()),
            None => Ok(()),
        }
    }
}

fn path(context: &Context, named: Option<&Path>) -> Result<ExitCode, Failure> {
    let path = match context.settings.file() {
        Some(file) => Some(file.path.clone()),
        None => config_path(context.settings.environment(), named).0,
    };
    let exists = context.settings.file().is_some();
    if !exists {
        context
            .reporter
            .say("there is no bcm.toml yet; `bcm config set` would write it here");
    }
    context.printer.show(&ConfigPath { path, exists })?;
    Ok(ExitCode::Done)
}
