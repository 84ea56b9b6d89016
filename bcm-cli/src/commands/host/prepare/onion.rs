//! The client's key of a machine's onion service, from its making to its owner.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use bcm_lxd::host::prepare::{OnionClient, OnionSpec, PrepareSpec};
use bcm_ssh::Destination;
use bcm_ssh::onion::{ClientKey, OnionAddress};
use serde::Serialize;

use crate::args::host::PrepareCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::onions::Onions;

/// A key that is to open the service. The machine is told its public half.
pub(super) struct Client {
    key: ClientKey,
    file: Option<File>,
}

struct File {
    path: PathBuf,
    /// Whether this run made it.
    new: bool,
}

/// The onion service as it is told to its owner.
#[derive(Debug, Serialize)]
pub(super) struct Served {
    address: String,
    /// Who logs in there.
    user: String,
    /// The client's key: shown once, and only where no file keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    /// Whether a key that was given before still is the one.
    key_kept: bool,
}

/// The key's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {what} the client's key in {}", path.display())]
struct FileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Client {
    /// The one that is wanted, if one is. Its file is written before anything is changed: a run that
    /// is cut off leaves no service whose key nobody has.
    pub(super) fn wanted(
        context: &Context,
        args: &PrepareCommand,
    ) -> Result<Option<Self>, Failure> {
        if !args.onion {
            return Ok(None);
        }
        let Some(path) = &args.onion_key else {
            let key = ClientKey::generate().map_err(Failure::new)?;
            return Ok(Some(Self { key, file: None }));
        };
        let path = context.settings.environment().folder.join(path);
        let failed = |what| {
            let path = path.clone();
            move |source| Failure::new(FileError { what, path, source })
        };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let key = zeroize::Zeroizing::new(text).parse().map_err(|error| {
                    Failure::usage(format!("{}: {error}", path.display()))
                        .with_hint("--onion-key takes a file with such a key, or makes a new file")
                })?;
                let file = Some(File { path, new: false });
                Ok(Some(Self { key, file }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = ClientKey::generate().map_err(Failure::new)?;
                if !args.dry_run {
                    write_new(&path, &key).map_err(failed("keep"))?;
                }
                let new = !args.dry_run;
                let file = Some(File { path, new });
                Ok(Some(Self { key, file }))
            }
            Err(error) => Err(failed("read")(error)),
        }
    }

    /// The one for a script, which is no place for a secret: a file has to keep it.
    pub(super) fn for_script(
        context: &Context,
        args: &PrepareCommand,
    ) -> Result<Option<Self>, Failure> {
        if args.onion && args.onion_key.is_none() {
            return Err(Failure::usage(
                "with --print-script, --onion needs --onion-key FILE: the script has the public half \
                 of the key alone, and the file keeps the rest here",
            ));
        }
        Self::wanted(context, args)
    }

    /// What the machine is told.
    pub(super) fn spec(&self, replace: bool) -> OnionSpec {
        OnionSpec {
            client: self.key.public(),
            given: self.file.is_some(),
            replace,
        }
    }

    /// What its owner is told, and whether that hands the key over.
    pub(super) fn served(
        self,
        address: &OnionAddress,
        outcome: OnionClient,
        spec: &PrepareSpec,
    ) -> (Served, bool) {
        let kept = outcome == OnionClient::Kept;
        let mut served = Served {
            address: address.to_string(),
            user: spec.user.to_string(),
            key: None,
            key_file: None,
            key_kept: kept,
        };
        match self.file {
            Some(file) if kept && file.new => {
                // It opens nothing.
                let _ = fs::remove_file(&file.path);
            }
            Some(_) if kept => {}
            Some(file) => served.key_file = Some(file.path),
            None if kept => {}
            None => served.key = Some(self.key.reveal().to_string()),
        }
        let shown = served.key.is_some();
        (served, shown)
    }
}

/// A file that only its owner reads, from its first moment on.
fn write_new(path: &PathBuf, key: &ClientKey) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = writeln!(file, "{}", *key.reveal()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Taking back the onion service by which one came would end in the middle.
pub(super) fn refuse_its_own_way(context: &Context, host: &str) -> Result<(), Failure> {
    let Ok(destination) = host.parse::<Destination>() else {
        return Ok(());
    };
    let state = context.settings.environment().state_folder();
    let known = Onions::load(&state).is_ok_and(|onions| onions.find(destination.host()).is_some());
    match known || destination.is_onion() {
        false => Ok(()),
        true => Err(Failure::usage(format!(
            "{host} is reached by the onion service that would be taken back"
        ))
        .with_hint(
            "come by another way, or run what `bcm host prepare --undo --print-script` writes at its \
             console",
        )
        .with_code(ExitCode::Failed)),
    }
}

impl Served {
    pub(super) fn text(&self, out: &mut dyn Write, host: &str) -> io::Result<()> {
        let bare = host.rsplit('@').next().unwrap_or(host);
        let name = bare.split(':').next().unwrap_or(bare);
        let name = if name.parse::<std::net::IpAddr>().is_ok() || name == "local" {
            "NAME"
        } else {
            name
        };
        writeln!(out, "onion: {}", self.address)?;
        let add = format!(
            "bcm ssh add-onion {name} {} --user {}",
            self.address, self.user
        );
        match (&self.key, &self.key_file) {
            (_, Some(file)) => {
                writeln!(out, "{add} --key-file {}", file.display())
            }
            (Some(key), None) => {
                writeln!(out, "{add}")?;
                writeln!(out, "the client's key, which is not shown again: {key}")
            }
            (None, None) => writeln!(
                out,
                "the client's key is the one that was given before; --rotate-onion-key makes another"
            ),
        }
    }
}
