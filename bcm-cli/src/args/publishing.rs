//! What an operator of a hub that stands alone types.

use std::path::PathBuf;

use bcm_core::names::{EntryName, RepoName};
use bcm_hub_sync::catalog::{FlistRef, Item, TagRef};
use bcm_hub_sync::publishing::flist_name;
use clap::{Args, Subcommand};

use super::hub::{DataArgs, PublicArgs, StoreArgs};
use crate::settings::value::DeleteAfter;

/// `bcm hub detach`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DetachCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm hub attach`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttachCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Give up what was published, changed or removed here, and all tokens
    #[arg(long)]
    pub(crate) discard: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bcm hub publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublishCommand {
    /// A folder, an archive (.tar, .tar.gz, .tgz), or an flist (.flist) whose blocks are here
    pub(crate) source: PathBuf,

    /// Where it is published; `.flist` is added where it is missing
    #[arg(value_name = "REPO/NAME", value_parser = flist)]
    pub(crate) place: FlistRef,

    /// Replace what is there under that name
    #[arg(long)]
    pub(crate) replace: bool,

    /// More metadata, such as `entrypoint=/sbin/init`; can be repeated
    #[arg(long = "meta", value_name = "NAME=TEXT", value_parser = super::flist::metadata)]
    pub(crate) metadata: Vec<(String, String)>,

    /// Leave out what cannot be read or has a name that is not UTF-8, instead of failing
    #[arg(long)]
    pub(crate) skip_unreadable: bool,

    /// Check what can be checked before a folder is packed, and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) public: PublicArgs,
}

/// `bcm hub link`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LinkCommand {
    /// The link to make
    #[arg(value_name = "REPO/NAME", value_parser = entry)]
    pub(crate) place: FlistRef,

    /// The flist that it leads to, of any repository, or a tag
    #[arg(value_name = "REPO/NAME|REPO/tags/TAG", value_parser = flist_or_tag)]
    pub(crate) target: Item,

    /// Turn a link that is there; an flist is never replaced by a link
    #[arg(long)]
    pub(crate) replace: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `bcm hub tag`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TagCommand {
    /// The tag; made where there is none
    #[arg(value_name = "REPO/tags/TAG", value_parser = tag)]
    pub(crate) tag: TagRef,

    /// The flist that the link in it leads to
    #[arg(value_name = "REPO/NAME", value_parser = flist, required_unless_present = "remove")]
    pub(crate) target: Option<FlistRef>,

    /// What the link is called; the flist's own name where nothing is said
    #[arg(long = "as", value_name = "NAME", value_parser = flist_entry, conflicts_with = "remove")]
    pub(crate) named: Option<EntryName>,

    /// Take this link out instead; a tag without links goes with its last one
    #[arg(long, value_name = "NAME", value_parser = flist_entry, conflicts_with = "target")]
    pub(crate) remove: Option<EntryName>,

    /// Turn a link that is there
    #[arg(long)]
    pub(crate) replace: bool,

    /// With `--remove`: also where links lead to a tag that goes, which then lead nowhere
    #[arg(long, requires = "remove")]
    pub(crate) dangling: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `bcm hub rename`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RenameCommand {
    /// What is renamed
    #[arg(value_name = "REPO/NAME", value_parser = entry)]
    pub(crate) place: FlistRef,

    /// Its new name, in the same repository
    #[arg(value_name = "NAME")]
    pub(crate) to: EntryName,

    /// Replace what is there under the new name
    #[arg(long)]
    pub(crate) replace: bool,

    /// Also where links lead to it, which then lead nowhere
    #[arg(long)]
    pub(crate) dangling: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `bcm hub remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveCommand {
    /// An entry, a tag, or a repository that is empty
    #[arg(value_name = "REPO/NAME|REPO/tags/TAG|REPO", value_parser = item)]
    pub(crate) item: Item,

    /// Also where links lead to it, which then lead nowhere
    #[arg(long)]
    pub(crate) dangling: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// Who may publish over the network
///
/// A token is shown once, when it is made; only a hash of it is kept. A server that runs takes a new one
/// at once, and a revoked one no more.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make one, and show it this once
    Create(CreateTokenCommand),
    /// List them, without what they are
    List(DataArgs),
    /// Make one good for nothing, at once
    Revoke(RevokeTokenCommand),
}

/// `bcm hub token create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateTokenCommand {
    /// A repository that it is good for, which need not be there yet; can be repeated
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) repository: Vec<RepoName>,

    /// How long it is good: 12h, 90d, never
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub(crate) expires: DeleteAfter,

    /// What to call it in the list
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,

    /// Show what would be made, and make nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

/// `bcm hub token revoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RevokeTokenCommand {
    /// As `bcm hub token list` names it
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) data: DataArgs,
}

fn item(text: &str) -> Result<Item, String> {
    let refused = |error| bcm_core::cause::chain(&error);
    Item::try_from(text.to_owned()).map_err(refused)
}

/// An entry by its very name.
fn entry(text: &str) -> Result<FlistRef, String> {
    match item(text)? {
        Item::Entry(place) => Ok(place),
        _ => Err(format!("{text:?} is not of the form REPO/NAME")),
    }
}

/// An flist's place, with `.flist` at its end.
fn flist(text: &str) -> Result<FlistRef, String> {
    let place = entry(text)?;
    Ok(FlistRef {
        name: flist_entry(place.name.as_str())?,
        repository: place.repository,
    })
}

fn flist_entry(text: &str) -> Result<EntryName, String> {
    flist_name(text).map_err(|error| error.to_string())
}

fn tag(text: &str) -> Result<TagRef, String> {
    match item(text)? {
        Item::Tag(tag) => Ok(tag),
        _ => Err(format!("{text:?} is not of the form REPO/tags/TAG")),
    }
}

fn flist_or_tag(text: &str) -> Result<Item, String> {
    match item(text)? {
        Item::Tag(tag) => Ok(Item::Tag(tag)),
        _ => flist(text).map(Item::Entry),
    }
}
