//! `bcm host autoinstall`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bcm_core::folder_files::{self, Change, FolderFile};
use bcm_provision::install::{Fixed, Installation, InvalidNetwork, Media, System, Way};
use bcm_provision::password::{InvalidHash, PasswordHash};
use serde::Serialize;
use zeroize::Zeroizing;

use super::keys::keys;
use crate::args::autoinstall::AutoinstallCommand;
use crate::commands::Context;
use crate::commands::written::{self, Written};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// More than the longest hash.
const LONGEST: u64 = 1024;

/// What `autoinstall` answers.
#[derive(Debug, Serialize)]
struct Answer {
    dir: PathBuf,
    dry_run: bool,
    system: System,
    hostname: String,
    files: Vec<Written>,
    /// What is erased, in words.
    erases: String,
    /// Who may log in over SSH.
    user: String,
    /// Whether the console takes a password.
    console_login: bool,
    kernel_parameters: String,
    ways: Vec<Way>,
    /// How the machine is looked at when it is there.
    check: String,
}

/// The hash cannot be had.
#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error("{from} cannot be read")]
    Read { from: String, source: io::Error },
    #[error("{from}: {source}")]
    Invalid { from: String, source: InvalidHash },
}

fn usage(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(error).with_code(ExitCode::Usage)
}

/// Writes the files, or the answers alone to stdout.
pub(super) fn run(context: &Context, args: &AutoinstallCommand) -> Result<ExitCode, Failure> {
    let install = installation(context, args)?;
    let media = install.media().map_err(usage)?;
    let Some(out) = &args.out else {
        if let Some(answers) = media.files.first() {
            context.printer.raw(&answers.content)?;
        }
        return Ok(ExitCode::Done);
    };
    let dir = context.settings.environment().folder.join(out);
    let changes = write(&dir, &media, args)?;
    let host = install.network.fixed.as_ref().map_or_else(
        || install.hostname.to_string(),
        |fixed| fixed.address().address().to_string(),
    );
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host,
    };
    let files = media.files.iter().zip(changes);
    context.printer.show(&Answer {
        dir: out.clone(),
        dry_run: args.dry_run,
        system: install.system,
        hostname: install.hostname.to_string(),
        files: files
            .map(|(file, change)| Written {
                name: file.name.to_owned(),
                about: file.about.to_owned(),
                change,
            })
            .collect(),
        erases: install.disk.to_string(),
        user: install.user.to_string(),
        console_login: install.password.is_some(),
        kernel_parameters: media.kernel_parameters,
        ways: media.ways,
        check: format!("bcm host check {}@{host}", install.user),
    })?;
    Ok(ExitCode::Done)
}

/// All files are for their owner alone: they tell who may log in, and perhaps a password's hash.
fn write(dir: &Path, media: &Media, args: &AutoinstallCommand) -> Result<Vec<Change>, Failure> {
    let files: Vec<FolderFile<'_>> = media
        .files
        .iter()
        .map(|file| FolderFile {
            name: file.name,
            content: &file.content,
            mode: 0o600,
        })
        .collect();
    let changes = match args.dry_run {
        true => folder_files::plan(dir, &files),
        false => folder_files::write(dir, &files, args.replace),
    };
    changes.map_err(written::failure)
}

fn installation(context: &Context, args: &AutoinstallCommand) -> Result<Installation, Failure> {
    let keys = keys(context, &args.key)?;
    let mut install = Installation::new(args.system.into(), args.hostname.clone(), keys);
    install.user = args.user.clone();
    install.disk = args.disk.clone();
    install.root = args.root.into();
    install.firmware = args.firmware.into();
    install.network.interface = args.interface.clone();
    install.network.fixed = fixed(args).map_err(usage)?;
    install.mirror = args.mirror.clone();
    install.proxy = args.proxy.clone();
    install.locale = args.locale.clone();
    install.keyboard = args.keyboard.clone();
    install.timezone = args.timezone.clone();
    install.afterwards = args.afterwards.into();
    if let Some(file) = &args.password_hash_file {
        install.password = Some(password_hash(context, file).map_err(usage)?);
    }
    Ok(install)
}

/// clap sees to it that there is either all or nothing.
fn fixed(args: &AutoinstallCommand) -> Result<Option<Fixed>, InvalidNetwork> {
    let (Some(address), Some(gateway)) = (args.address, args.gateway) else {
        return Ok(None);
    };
    Fixed::new(address, gateway, args.dns.clone()).map(Some)
}

fn password_hash(context: &Context, file: &Path) -> Result<PasswordHash, HashError> {
    let mut text = Zeroizing::new(String::new());
    let (from, read) = if file == Path::new("-") {
        let read = io::stdin().take(LONGEST).read_to_string(&mut text);
        ("stdin".to_owned(), read)
    } else {
        let path = context.settings.environment().folder.join(file);
        let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        (path.display().to_string(), read)
    };
    match read {
        Ok(_) => text
            .parse()
            .map_err(|source| HashError::Invalid { from, source }),
        Err(source) => Err(HashError::Read { from, source }),
    }
}

impl Show for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        written::show(out, &self.files)?;
        if self.dry_run {
            return writeln!(out, "nothing was written to {}", self.dir.display());
        }
        writeln!(
            out,
            "\nA machine that is started with these answers loses all that is on {}.",
            self.erases
        )?;
        for way in &self.ways {
            writeln!(out, "\n{}:", way.from)?;
            for step in &way.steps {
                writeln!(out, "  - {step}")?;
            }
        }
        let console = match self.console_login {
            true => "the console takes the password",
            false => "there is no password, so the console takes no login",
        };
        writeln!(
            out,
            "\n{} logs in over SSH by key only; {console}.\nwhen it is there: {}",
            self.user, self.check
        )
    }
}
