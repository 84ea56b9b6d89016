//! `bcm stack render`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_stack::render::{
    BaseImage, Change, RenderOptions, RenderedFile, compose, plan, systemd, write,
};
use serde::Serialize;

use crate::args::stack::{ComposeCommand, RenderArgs, RenderCommand, SystemdCommand};
use crate::commands::Context;
use crate::commands::written::{self, Written};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;
use crate::settings::stack::{CertificatesError, domain, tls, uses_files, variables};

/// Where the project for Docker Compose has given certificates, in Caddy's container.
const MOUNTED: (&str, &str) = ("/certs/fullchain.pem", "/certs/key.pem");

/// Carries out `bcm stack render …`.
pub(super) fn run(context: &Context, command: &RenderCommand) -> Result<ExitCode, Failure> {
    match command {
        RenderCommand::Compose(args) => for_compose(context, args),
        RenderCommand::Systemd(args) => for_systemd(context, args),
    }
}

fn usage(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(error).with_code(ExitCode::Usage)
}

fn for_compose(context: &Context, args: &ComposeCommand) -> Result<ExitCode, Failure> {
    let base = BaseImage::new(&args.base).map_err(usage)?;
    let options = options(context, &args.render, Some(MOUNTED))?;
    let program = std::env::current_exe().map_err(Failure::new)?;
    let files = compose(&options, &base);
    finish(context, &args.render, &files, Some(&program))
}

fn for_systemd(context: &Context, args: &SystemdCommand) -> Result<ExitCode, Failure> {
    let files = args.certificate.as_deref().zip(args.key.as_deref());
    let settings = &context.settings;
    if files.is_some() && !uses_files(settings, args.render.certificates)? {
        return Err(usage(CertificatesError::Unused));
    }
    let options = options(context, &args.render, files)?;
    finish(context, &args.render, &systemd(&options), None)
}

/// `files` are the chain of certificates and its key, where such are used.
fn options(
    context: &Context,
    args: &RenderArgs,
    files: Option<(&str, &str)>,
) -> Result<RenderOptions, Failure> {
    let settings = &context.settings;
    let tls = tls(settings, args.certificates, args.mail.as_ref(), files).map_err(usage)?;
    RenderOptions::new(domain(settings, args.domain.as_ref())?)
        .with_tls(tls)
        .with_settings(variables(settings).map_err(usage)?)
        .with_folder(&args.folder)
        .map_err(usage)
}

/// What was, or would be, written.
#[derive(Debug, Serialize)]
struct Rendered {
    dir: PathBuf,
    dry_run: bool,
    files: Vec<Written>,
}

impl Show for Rendered {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        written::show(out, &self.files)?;
        let dir = self.dir.display();
        match self.dry_run {
            true => writeln!(out, "nothing was written to {dir}"),
            false => writeln!(out, "{dir}/README.md says how to go on"),
        }
    }
}

/// Writes the files, and beside them the `program` where it is needed.
fn finish(
    context: &Context,
    args: &RenderArgs,
    files: &[RenderedFile],
    program: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let dir = &args.out;
    let changes = match args.dry_run {
        true => plan(dir, files),
        false => write(dir, files, args.replace),
    };
    let changes = changes.map_err(written::failure)?;
    let mut written: Vec<Written> = files
        .iter()
        .zip(changes)
        .map(|(file, change)| Written {
            name: file.name.to_owned(),
            about: file.about.to_owned(),
            change,
        })
        .collect();
    if let Some(program) = program {
        written.push(Written {
            name: "bcm".to_owned(),
            about: "this program, for the images".to_owned(),
            change: put_program(program, &dir.join("bcm"), args.dry_run)?,
        });
    }
    context.printer.show(&Rendered {
        dir: dir.clone(),
        dry_run: args.dry_run,
        files: written,
    })?;
    Ok(ExitCode::Done)
}

/// The program cannot be put beside the files.
#[derive(Debug, thiserror::Error)]
#[error("could not copy {} to {}", from.display(), to.display())]
struct CopyError {
    from: PathBuf,
    to: PathBuf,
    source: io::Error,
}

/// Copies `from` to `to`, which another version of the program may be at.
fn put_program(from: &Path, to: &Path, dry_run: bool) -> Result<Change, Failure> {
    let failed = |source| {
        Failure::new(CopyError {
            from: from.to_owned(),
            to: to.to_owned(),
            source,
        })
    };
    let there = match fs::read(to) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let program = fs::read(from).map_err(failed)?;
    let change = match there {
        Some(there) if there == program => return Ok(Change::Unchanged),
        Some(_) => Change::Replaced,
        None => Change::Created,
    };
    if !dry_run {
        bcm_core::atomic_file::write(to, &program, 0o755).map_err(Failure::new)?;
    }
    Ok(change)
}
