//! `bcm hub publish`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcm_hub_sync::flist::{Accounts, Limits, PackOptions, Unpackable};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::publishing::archive::{self, ArchiveError, ArchiveLimits};
use bcm_hub_sync::publishing::{
    Content, PublishSettings, Published, PublishingError, Session, Workspace,
};
use bcm_hub_sync::store::embedded::Access;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::args::publishing::PublishCommand;
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::interrupt;
use crate::printer::Show;
use crate::settings::{key, store};

/// What something that is published looks like, by its name.
enum Kind {
    Folder,
    Archive,
    Flist,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|source| {
            Failure::new(PublishingError::Io {
                operation: "look at",
                path: path.to_owned(),
                source,
            })
        })?;
        let name = path.to_string_lossy();
        let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
        match metadata.is_dir() {
            true => Ok(Self::Folder),
            false if ends(&[".flist"]) => Ok(Self::Flist),
            false if ends(&[".tar", ".tar.gz", ".tgz"]) => Ok(Self::Archive),
            false => Err(Failure::usage(format!(
                "{name} is neither a folder nor named as an archive (.tar, .tar.gz, .tgz) or an flist \
                 (.flist)"
            ))),
        }
    }
}

/// What publishing fails of, with what to do about it.
pub(super) fn failure(error: PublishingError) -> Failure {
    let hint = match &error {
        PublishingError::Cancelled => {
            return Failure::new(error).with_code(ExitCode::Interrupted);
        }
        PublishingError::Mirror { .. } => {
            "`bcm hub detach` lets a mirror stand alone; `bcm hub standalone` makes an empty hub"
        }
        PublishingError::Exists { .. } => "--replace replaces it, where that may be",
        PublishingError::Needed { .. } => "--dangling does it, and leaves links that lead nowhere",
        PublishingError::NotEmpty { .. } => "remove what is in it first",
        PublishingError::BlocksMissing { .. } => {
            "publish the folder that it was made of, whose blocks are then stored"
        }
        _ => return Failure::new(error),
    };
    Failure::new(error).with_hint(hint)
}

/// What was published, and where.
#[derive(Debug, Serialize)]
struct Done {
    data: PathBuf,
    dry_run: bool,
    #[serde(flatten)]
    published: Published,
}

/// Publishes a folder, an archive or an flist.
pub(super) async fn run(context: &Context, args: &PublishCommand) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(args.data.data.as_deref())?;
    let layout = Layout::new(&data);
    let kind = Kind::of(&args.source)?;
    // Before anything is made in a folder that is a mirror's.
    if !Mode::of(&layout).map_err(Failure::new)?.is_writable() {
        return Err(failure(PublishingError::Mirror { path: data }));
    }
    let cancel = interrupt::watch(&context.reporter).map_err(Failure::new)?;
    let mut settings = PublishSettings {
        replace: args.replace,
        pack: PackOptions {
            backend: (context.settings).maybe(&key::BACKEND, args.public.backend.clone())?,
            metadata: args.metadata.clone(),
            accounts: Accounts::system().map_err(Failure::new)?,
            unpackable: match args.skip_unreadable {
                true => Unpackable::Skip,
                false => Unpackable::Fail,
            },
            ..PackOptions::default()
        },
    };
    let work = || {
        let workspace = Workspace::new(&layout).map_err(failure)?;
        let unpacked;
        let content = match kind {
            Kind::Folder => Content::Folder(&args.source),
            Kind::Flist => Content::Flist(&args.source),
            Kind::Archive => {
                unpacked = workspace.folder("tree").map_err(failure)?;
                let limits = ArchiveLimits {
                    // The operator's own disk is the limit.
                    unpacked_bytes: u64::MAX,
                    ..ArchiveLimits::default()
                };
                let attributes = archive::unpack(&args.source, &unpacked, &limits, &cancel);
                let attributes = attributes.map_err(|error| match error {
                    ArchiveError::Cancelled => failure(PublishingError::Cancelled),
                    error => Failure::new(error),
                })?;
                settings.pack.attributes = Some(Arc::new(attributes));
                // Names of this machine's users say nothing about an archive's.
                settings.pack.accounts = Accounts::default();
                Content::Folder(&unpacked)
            }
        };
        let mut session =
            Session::open(&layout, Limits::default(), args.dry_run).map_err(failure)?;
        let store = store::open(
            &context.settings,
            &args.store.store,
            &layout,
            Access::ReadWrite,
        )?;
        let progress = context.reporter.progress();
        session
            .publish(
                &args.place,
                content,
                &*store,
                &settings,
                &*progress,
                &cancel,
            )
            .map_err(failure)
    };
    let published = tokio::task::block_in_place(work)?;
    let code = match published.left_out {
        0 => ExitCode::Done,
        _ => ExitCode::Partial,
    };
    context.printer.show(&Done {
        data,
        dry_run: args.dry_run,
        published,
    })?;
    Ok(code)
}

impl Show for Done {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let published = &self.published;
        let place = &published.place;
        let verb = match (self.dry_run, published.replaced) {
            (true, false) => "would publish",
            (true, true) => "would replace",
            (false, false) => "published",
            (false, true) => "replaced",
        };
        let Some(md5) = published.md5 else {
            return writeln!(out, "{verb} {place}");
        };
        writeln!(out, "{verb} {place} ({})", HumanBytes(published.size))?;
        let files = &published.files;
        writeln!(
            out,
            "  tree    {} files ({}), {} folders, {} links, {} special",
            HumanCount(files.regular),
            HumanBytes(files.fullsize),
            HumanCount(files.directory),
            HumanCount(files.symlink),
            HumanCount(files.special)
        )?;
        let blocks = HumanCount(published.new_blocks);
        writeln!(out, "  blocks  {blocks} new in {}", self.data.display())?;
        writeln!(out, "  md5     {md5}")?;
        match published.left_out {
            0 => Ok(()),
            count => writeln!(out, "  left out: {} files", HumanCount(count)),
        }
    }
}
