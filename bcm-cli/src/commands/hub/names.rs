//! `bcm hub link`, `tag`, `rename` and `remove`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bcm_hub_sync::catalog::Item;
use bcm_hub_sync::flist::Limits;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::publishing::{SUFFIX, Session, flist_name};
use serde::Serialize;

use super::publish::failure;
use crate::args::publishing::{LinkCommand, RemoveCommand, RenameCommand, TagCommand};
use crate::commands::Context;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::printer::Show;

/// What was changed, or would be.
#[derive(Debug, Serialize)]
struct Changed {
    data: PathBuf,
    dry_run: bool,
    /// `linked`, `tagged`, `untagged`, `renamed`, `removed`.
    change: &'static str,
    item: String,
    /// Where it leads, or what it is called now.
    to: Option<String>,
    /// Whether something was there before.
    replaced: bool,
}

impl Show for Changed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let would = if self.dry_run { "would be " } else { "" };
        let (item, change) = (&self.item, self.change);
        match &self.to {
            None => writeln!(out, "{item} {would}{change}"),
            Some(to) => writeln!(out, "{item} {would}{change} to {to}"),
        }
    }
}

fn open(context: &Context, data: Option<&Path>, dry_run: bool) -> Result<Session, Failure> {
    let (data, _) = context.settings.data(data)?;
    Session::open(&Layout::new(data), Limits::default(), dry_run).map_err(failure)
}

fn show(
    context: &Context,
    data: Option<&Path>,
    dry_run: bool,
    (change, item, to, replaced): (&'static str, String, Option<String>, bool),
) -> Result<ExitCode, Failure> {
    let (data, _) = context.settings.data(data)?;
    context.printer.show(&Changed {
        data,
        dry_run,
        change,
        item,
        to,
        replaced,
    })?;
    Ok(ExitCode::Done)
}

/// Makes a link.
pub(super) fn link(context: &Context, args: &LinkCommand) -> Result<ExitCode, Failure> {
    let data = args.data.data.as_deref();
    let mut session = open(context, data, args.dry_run)?;
    let mut place = args.place.clone();
    let replaced = match &args.target {
        Item::Tag(tag) => session.link_to_tag(&place, tag, args.replace),
        Item::Entry(flist) => {
            let name = flist_name(place.name.as_str());
            place.name = name.map_err(Failure::new)?;
            session.link(&place, flist, args.replace)
        }
        Item::Repository(name) => {
            return Err(Failure::usage(format!(
                "a link does not lead to a repository, {name}"
            )));
        }
    };
    let replaced = replaced.map_err(failure)?;
    let to = Some(args.target.to_string());
    let done = ("linked", place.to_string(), to, replaced);
    show(context, data, args.dry_run, done)
}

/// Puts a link into a tag, or takes it out.
pub(super) fn tag(context: &Context, args: &TagCommand) -> Result<ExitCode, Failure> {
    let data = args.data.data.as_deref();
    let mut session = open(context, data, args.dry_run)?;
    let tag = &args.tag;
    let done = match (&args.remove, &args.target) {
        (Some(name), _) => {
            let gone = session.untag(tag, name, args.dangling).map_err(failure)?;
            if gone {
                context
                    .reporter
                    .say(&format!("{tag} has no links left, and goes"));
            }
            ("removed", format!("{tag}/{name}"), None, false)
        }
        (None, Some(target)) => {
            let name = args.named.as_ref().unwrap_or(&target.name);
            let held = session.tag(tag, name, target, args.replace);
            let held = held.map_err(failure)?;
            let to = Some(target.to_string());
            ("linked", format!("{tag}/{name}"), to, held)
        }
        // Clap asks for one of them.
        (None, None) => return Err(Failure::usage("which flist is tagged?")),
    };
    show(context, data, args.dry_run, done)
}

/// Gives an entry another name.
pub(super) fn rename(context: &Context, args: &RenameCommand) -> Result<ExitCode, Failure> {
    let data = args.data.data.as_deref();
    let mut session = open(context, data, args.dry_run)?;
    let place = session.meant(&args.place);
    let mut to = args.to.clone();
    if place.name.as_str().ends_with(SUFFIX) {
        to = flist_name(to.as_str()).map_err(Failure::new)?;
    }
    let replaced = session.rename(&place, &to, args.replace, args.dangling);
    let replaced = replaced.map_err(failure)?;
    let done = ("renamed", place.to_string(), Some(to.to_string()), replaced);
    show(context, data, args.dry_run, done)
}

/// Removes something.
pub(super) fn remove(context: &Context, args: &RemoveCommand) -> Result<ExitCode, Failure> {
    let data = args.data.data.as_deref();
    let mut session = open(context, data, args.dry_run)?;
    let item = match &args.item {
        Item::Entry(place) => Item::Entry(session.meant(place)),
        item => item.clone(),
    };
    session.remove(&item, args.dangling).map_err(failure)?;
    let done = ("removed", item.to_string(), None, false);
    show(context, data, args.dry_run, done)
}
