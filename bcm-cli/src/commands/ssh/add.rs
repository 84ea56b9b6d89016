//! `bcm ssh add-onion`.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use bcm_lxd::host::tor_client;
use bcm_ssh::onion::{ClientKey, InvalidClientKey};
use bcm_ssh::{Destination, Local};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::ssh::AddCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::{self, Onion, OnionName, Onions, Through};
use crate::printer::Show;

/// Where Debian's Tor takes connections.
const SYSTEM_SOCKS: &str = "127.0.0.1:9050";

/// A key is a line; more than this is something else.
const LONGEST: u64 = 4096;

/// What `add-onion` answers: no key is in it.
#[derive(Debug, Serialize)]
struct Added {
    name: OnionName,
    #[serde(flatten)]
    onion: Onion,
    dry_run: bool,
    changes: Vec<String>,
    /// What is left to do by hand.
    todo: Option<String>,
}

/// There is no key.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error("could not read the client's key from {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("could not read the client's key from stdin")]
    Stdin(#[source] io::Error),
    #[error("no client's key was given")]
    None,
    #[error("{from}: {source}")]
    Invalid {
        from: String,
        source: InvalidClientKey,
    },
}

/// Makes a machine known.
pub(super) async fn run(context: &Context, args: &AddCommand) -> Result<ExitCode, Failure> {
    let environment = context.settings.environment();
    let mut onions = super::load(context)?;
    check(&onions, args)?;
    if let Some(user) = &args.user {
        Destination::new("host")
            .and_then(|host| host.with_user(user))
            .map_err(|error| Failure::usage(error.to_string()))?;
    }
    let key = match args.no_key {
        true => None,
        false => Some(read_key(context, args).map_err(|error| {
            if matches!(&error, KeyError::Stdin(why) if why.kind() == io::ErrorKind::Interrupted) {
                return Failure::interrupted("interrupted; nothing was changed");
            }
            Failure::new(error)
                .with_hint(
                    "`bcm host prepare --onion` shows it once; --key-file names a file with it, and \
                     --no-key says that the service has none",
                )
                .with_code(ExitCode::Usage)
        })?),
    };
    let socks = args.socks.as_ref().map(ToString::to_string);
    let through = match (args.system_tor, socks) {
        (true, socks) => Through::SystemTor(socks.unwrap_or_else(|| SYSTEM_SOCKS.to_owned())),
        (false, Some(socks)) => Through::Socks(socks),
        (false, None) => Through::OwnTor,
    };
    let onion = Onion {
        address: args.address.to_string(),
        user: args.user.clone(),
        port: args.port,
        through,
        key: key.is_some(),
    };
    let mut changes = Vec::new();
    if key.is_some() {
        changes.push("keep the client's key, for your eyes only".to_owned());
    }
    changes.push(format!("let ssh reach {} at {}", args.name, args.address));
    let before = onions.hosts().get(&args.name).cloned();
    let leaves_system = matches!(
        before.map(|onion| onion.through),
        Some(Through::SystemTor(_))
    ) && !args.system_tor;
    if leaves_system {
        changes.push("take the key from the system's Tor".to_owned());
    }
    if let (Through::SystemTor(_), Some(_)) = (&onion.through, &key) {
        changes.push("give the key to the system's Tor".to_owned());
    }
    let todo = match (&onion.through, &key) {
        (Through::Socks(_), Some(_)) => Some(format!(
            "the Tor at that address needs the key: `ClientOnionAuthDir {}` in its torrc, where it may \
             read that folder",
            onions.auth().display()
        )),
        _ => None,
    };
    if !args.dry_run {
        let name = args.name.as_str();
        if leaves_system {
            tor_client::forget(&Local::new(), name)
                .await
                .map_err(Failure::new)?;
        }
        // The system's Tor first: where that refuses, nothing else is there.
        if let (Through::SystemTor(_), Some(key)) = (&onion.through, &key) {
            tor_client::authorise(&Local::new(), name, &args.address, key)
                .await
                .map_err(Failure::new)?;
        }
        onions
            .add(
                args.name.clone(),
                onion.clone(),
                &args.address,
                key.as_ref(),
            )
            .map_err(Failure::new)?;
        onions::config_file(environment, &onions, None).map_err(Failure::new)?;
    }
    context.printer.show(&Added {
        name: args.name.clone(),
        onion,
        dry_run: args.dry_run,
        changes,
        todo,
    })?;
    Ok(ExitCode::Done)
}

/// One name for one machine.
fn check(onions: &Onions, args: &AddCommand) -> Result<(), Failure> {
    let address = args.address.as_str();
    match onions.hosts().get(&args.name) {
        Some(known) if known.address != address => {
            return Err(Failure::usage(format!(
                "{} is another machine already, {}",
                args.name, known.address
            ))
            .with_hint(format!("`bcm ssh remove-onion {}` forgets it", args.name)));
        }
        Some(_) => return Ok(()),
        None => {}
    }
    match onions.find(address) {
        Some((name, _)) => Err(
            Failure::usage(format!("that machine is known already, as {name}"))
                .with_hint(format!("`bcm ssh remove-onion {name}` forgets it")),
        ),
        None => Ok(()),
    }
}

fn read_key(context: &Context, args: &AddCommand) -> Result<ClientKey, KeyError> {
    let mut text = Zeroizing::new(String::new());
    let from = if let Some(path) = &args.key_file {
        let path = context.settings.environment().folder.join(path);
        std::fs::File::open(&path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|source| KeyError::Read {
                path: path.clone(),
                source,
            })?;
        path.display().to_string()
    } else if io::stdin().is_terminal() {
        context.reporter.write("Client's key (it is not shown): ");
        let result = read_hidden(&mut text);
        context.reporter.write("\n");
        result.map_err(KeyError::Stdin)?;
        "what was typed".to_owned()
    } else {
        io::stdin()
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(KeyError::Stdin)?;
        "stdin".to_owned()
    };
    if text.trim().is_empty() {
        return Err(KeyError::None);
    }
    text.parse()
        .map_err(|source| KeyError::Invalid { from, source })
}

/// Reads a line from the terminal without showing it there. Keys come one by one, Ctrl-C among them,
/// so that the terminal is not left without its echo.
fn read_hidden(text: &mut String) -> io::Result<()> {
    let terminal = io::stdin();
    let before = tcgetattr(&terminal)?;
    let mut hidden = before.clone();
    hidden
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let read = typed(terminal.lock(), text);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    read
}

fn typed(keys: impl BufRead, text: &mut String) -> io::Result<()> {
    for key in keys.take(LONGEST).bytes() {
        match key? {
            b'\r' | b'\n' | 0x04 => break,
            0x03 => return Err(io::ErrorKind::Interrupted.into()),
            0x08 | 0x7f => {
                text.pop();
            }
            key => text.push(char::from(key)),
        }
    }
    Ok(())
}

impl Show for Added {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        write_changes(out, &self.changes, self.dry_run)?;
        if let Some(todo) = &self.todo {
            writeln!(out, "{todo}")?;
        }
        if self.dry_run {
            return Ok(());
        }
        let name = &self.name;
        writeln!(out, "ready: bcm ssh connect {name}")?;
        writeln!(
            out,
            "       bcm cluster create --host {name} --host-keys accept-new"
        )
    }
}

/// What was done, or would be.
pub(super) fn write_changes(
    out: &mut dyn Write,
    changes: &[String],
    dry_run: bool,
) -> io::Result<()> {
    for change in changes {
        match dry_run {
            true => writeln!(out, "would {change}")?,
            false => writeln!(out, "- {change}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_typed_as_people_type() {
        let mut text = String::new();
        typed(&b"ABX\x7fC\rD"[..], &mut text).unwrap();
        assert_eq!(text, "ABC");
        let error = typed(&b"AB\x03"[..], &mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
