//! What a hub's answers mean: pure functions from bytes to entries.
//!
//! An answer as a whole is refused only when it is not JSON of the right outline. Whatever is
//! wrong with one entry (a bad name, a target that leaves the tree, a field of the wrong type, an
//! absurd time) refuses that entry, by name, and the rest is taken. Unknown fields are ignored.
//! Formats: the hub's public API, as recorded in `tests/fixtures/origin-small/http`.

mod elements;
mod refused;

use std::collections::BTreeMap;

use bcm_core::digest::Md5;
use bcm_core::names::{EntryName, RepoName, TagName};

use super::scalar::{Fields, Object, Scalar};
use crate::catalog::{Entry, Item, LinkTarget, RegularFile, Symlink, TagLink, TagRef};
use elements::{Lists, each_element, each_list};

pub use refused::{MAX_NAMED, Refusals, Refused};

/// How far ahead of this machine's clock a time may be, in seconds: one day. Clocks differ; a
/// year 2100 is a broken or hostile listing.
pub const FUTURE_SLACK: i64 = 24 * 60 * 60;

/// The longest text for a size that is taken, in bytes.
const MAX_SIZE_TEXT: usize = 40;

/// An answer that is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It is not JSON, ends too early, or is nested too deeply.
    #[error("the answer is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// It is JSON of another outline.
    #[error("the answer is {found}, not {expected}")]
    Outline {
        /// What was expected.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// One of its fields makes no sense.
    #[error("the answer is refused: {0}")]
    Field(String),
    /// It is not 32 hex digits.
    #[error("the answer is not an MD5")]
    NotMd5(#[source] bcm_core::digest::ParseDigestError),
}

/// What `/api/repositories` says of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryInfo {
    /// Whether the hub marks it as official.
    pub official: bool,
    /// When its folder was changed, in seconds since 1970; `None` where what came is absurd.
    pub updated: Option<i64>,
}

/// The entries of one repository. The links of its tags are listed elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Flists, links and links to tags.
    pub entries: BTreeMap<EntryName, Entry>,
    /// The tags, and when their folders were changed, in seconds since 1970.
    pub tags: BTreeMap<TagName, i64>,
}

/// What `/api/flist/REPO/FLIST/light` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Light {
    /// Bytes.
    pub size: u64,
    /// The file's time of modification, in seconds since 1970.
    pub updated: i64,
    /// Its MD5; `None` for a link that dangles.
    pub md5: Option<Md5>,
}

/// Reads `/api/repositories`. `now` is this machine's time in seconds since 1970. What is refused
/// of a repository that is not `selected` is not named.
///
/// # Errors
/// The answer as a whole is not a JSON array.
pub fn repositories(
    body: &[u8],
    now: i64,
    selected: &dyn Fn(&str) -> bool,
    refusals: &mut Refusals,
) -> Result<BTreeMap<RepoName, RepositoryInfo>, ParseError> {
    let mut found = BTreeMap::new();
    let mut refused = Refusals::default();
    each_element(body, |object| {
        refused.mute(false);
        let fields = match fields(object) {
            Ok(fields) => fields,
            Err(reason) => return refused.add(None, "/api/repositories", reason),
        };
        refused.mute(matches!(&fields.name, Scalar::Text(name) if !selected(name)));
        let name = match text(&fields.name, "name").and_then(|text| named(text, RepoName::new)) {
            Ok(name) => name,
            Err(reason) => return refused.add(None, &describe(&fields.name), reason),
        };
        let item = Item::Repository(name.clone());
        let official = match fields.official {
            Scalar::Bool(official) => official,
            Scalar::Missing => false,
            ref other => {
                let reason = format!("`official` is {}, not a boolean", other.kind());
                return refused.add(Some(item), name.as_str(), reason);
            }
        };
        let updated = match time(&fields.updated, "updated", now) {
            Ok(updated) => Some(updated),
            Err(reason) => {
                let reason = format!("its folder's time is left alone: {reason}");
                refused.add(None, name.as_str(), reason);
                None
            }
        };
        if found.contains_key(&name) {
            return refused.add(Some(item), name.as_str(), "is listed twice".to_owned());
        }
        found.insert(name, RepositoryInfo { official, updated });
    })?;
    refusals.merge(refused);
    Ok(found)
}

/// Reads `/api/fileslist`. What is refused of a repository that is not `selected` is not named.
///
/// # Errors
/// The answer as a whole is not a JSON object.
pub fn fileslist(
    body: &[u8],
    now: i64,
    selected: &dyn Fn(&str) -> bool,
    refusals: &mut Refusals,
) -> Result<BTreeMap<RepoName, Entries>, ParseError> {
    let mut list = FilesList {
        now,
        selected,
        current: None,
        found: BTreeMap::new(),
        refused: Refusals::default(),
    };
    each_list(body, &mut list)?;
    refusals.merge(list.refused);
    Ok(list.found)
}

struct FilesList<'a> {
    now: i64,
    selected: &'a dyn Fn(&str) -> bool,
    current: Option<(RepoName, Entries)>,
    found: BTreeMap<RepoName, Entries>,
    refused: Refusals,
}

impl Lists for FilesList<'_> {
    fn begins(&mut self, name: &str) -> bool {
        self.refused.mute(!(self.selected)(name));
        let name = match named(name, RepoName::new) {
            Ok(name) => name,
            Err(reason) => {
                self.refused.add(None, &format!("{name:?}"), reason);
                return false;
            }
        };
        if self.found.contains_key(&name) {
            let item = Item::Repository(name.clone());
            self.refused
                .add(Some(item), name.as_str(), "is listed twice".to_owned());
            return false;
        }
        self.current = Some((name, Entries::default()));
        true
    }

    fn element(&mut self, object: Object) {
        if let Some((name, entries)) = &mut self.current {
            entry(object, name, self.now, entries, &mut self.refused);
        }
    }

    fn ended(&mut self, other: Option<&'static str>) {
        let Some((name, entries)) = self.current.take() else {
            return;
        };
        if let Some(kind) = other {
            let reason = format!("its listing is {kind}, not an array");
            self.refused.add_unread(&name, reason);
        }
        self.found.insert(name, entries);
    }
}

/// Reads `/api/flist/REPO`, of the repository `home`.
///
/// # Errors
/// The answer as a whole is not a JSON array.
pub fn repository(
    body: &[u8],
    home: &RepoName,
    now: i64,
    refusals: &mut Refusals,
) -> Result<Entries, ParseError> {
    let mut entries = Entries::default();
    let mut refused = refusals.same_voice();
    each_element(body, |object| {
        entry(object, home, now, &mut entries, &mut refused);
    })?;
    refusals.merge(refused);
    Ok(entries)
}

/// Reads `/api/flist/REPO/tags/TAG`, the listing of the tag `place`. A tag's links are used
/// together, so one that is refused refuses the tag: `None`.
///
/// # Errors
/// The answer as a whole is not a JSON array.
pub fn tag(
    body: &[u8],
    place: &TagRef,
    now: i64,
    refusals: &mut Refusals,
) -> Result<Option<BTreeMap<EntryName, Symlink>>, ParseError> {
    let mut refused = Refusals::default();
    let mut links = BTreeMap::new();
    each_element(body, |object| {
        let mut entries = Entries::default();
        let before = refused.total();
        entry(object, &place.repository, now, &mut entries, &mut refused);
        if refused.total() > before {
            return;
        }
        match entries.entries.pop_first() {
            Some((name, Entry::Symlink(mut link))) if !links.contains_key(&name) => {
                link.target.repository = Some(link.target.resolve(&place.repository).repository);
                links.insert(name, link);
            }
            Some((name, Entry::Symlink(_))) => {
                let reason = "is listed twice".to_owned();
                refused.add(None, &format!("{place}/{name}"), reason);
            }
            _ => {
                let reason = "lists something that is not a link".to_owned();
                refused.add(None, &place.to_string(), reason);
            }
        }
    })?;
    if refused.total() == 0 {
        return Ok(Some(links));
    }
    refusals.add_tag(place, refused);
    Ok(None)
}

/// Reads `/REPO/FLIST.md5`: 32 hex digits and a newline.
///
/// # Errors
/// It is anything else.
pub fn md5(body: &[u8]) -> Result<Md5, ParseError> {
    String::from_utf8_lossy(body)
        .trim()
        .parse()
        .map_err(ParseError::NotMd5)
}

/// Reads `/api/flist/REPO/FLIST/light`.
///
/// # Errors
/// It is not such an object, or one of its fields is absurd.
pub fn light(body: &[u8], now: i64) -> Result<Light, ParseError> {
    let object = serde_json::from_slice(body).map_err(ParseError::Json)?;
    let fields = fields(object).map_err(ParseError::Field)?;
    let size = match fields.size {
        Scalar::Integer(size) => u64::try_from(size).ok(),
        _ => None,
    };
    let field = |reason: String| ParseError::Field(reason);
    Ok(Light {
        size: size.ok_or_else(|| field("`size` is not a number of bytes".to_owned()))?,
        updated: time(&fields.updated, "updated", now).map_err(field)?,
        md5: match &fields.md5 {
            Scalar::Text(text) => Some(text.parse().map_err(ParseError::NotMd5)?),
            Scalar::Null | Scalar::Missing => None,
            other => return Err(field(format!("`md5` is {}, not a text", other.kind()))),
        },
    })
}

/// Takes one entry of `home`, or refuses it.
fn entry(object: Object, home: &RepoName, now: i64, into: &mut Entries, refused: &mut Refusals) {
    let fields = match fields(object) {
        Ok(fields) => fields,
        Err(reason) => {
            return refused.add(Some(Item::Repository(home.clone())), home.as_str(), reason);
        }
    };
    let subject = format!("{home}/{}", describe(&fields.name));
    let name = match text(&fields.name, "name") {
        Ok(name) => name,
        Err(reason) => return refused.add(None, &subject, reason),
    };
    let result = if fields.kind == Scalar::Text("tag".to_owned()) {
        tag_entry(name, &fields, now, into)
    } else {
        other_entry(name, &fields, now, into)
    };
    if let Err(reason) = result {
        // Whatever it is, it is still there: what we hold under its name is not to be deleted.
        if let Ok(tag) = TagName::new(name) {
            refused.keep(Item::tag(home, &tag));
        }
        let item = EntryName::new(name)
            .ok()
            .map(|name| Item::entry(home, &name));
        refused.add(item, &subject, reason);
    }
}

fn tag_entry(name: &str, fields: &Fields, now: i64, into: &mut Entries) -> Result<(), String> {
    let name = named(name, TagName::new)?;
    let updated = time(&fields.updated, "updated", now)?;
    if into.tags.contains_key(&name) {
        return Err("is listed twice".to_owned());
    }
    into.tags.insert(name, updated);
    Ok(())
}

fn other_entry(name: &str, fields: &Fields, now: i64, into: &mut Entries) -> Result<(), String> {
    let name = named(name, EntryName::new)?;
    // Older hubs give no `linktime`; then the link's `updated` is the best there is.
    let linktime = || match &fields.linktime {
        Scalar::Missing => time(&fields.updated, "updated", now),
        linktime => time(linktime, "linktime", now),
    };
    let entry = match text(&fields.kind, "type")? {
        "regular" => Entry::Regular(RegularFile {
            size: None,
            listed_size: size_text(&fields.size)?,
            updated: time(&fields.updated, "updated", now)?,
            md5: None,
        }),
        "symlink" => Entry::Symlink(Symlink {
            target: target::<LinkTarget>(&fields.target)?,
            linktime: linktime()?,
        }),
        "taglink" => Entry::TagLink(TagLink {
            target: target::<TagRef>(&fields.target)?,
            linktime: linktime()?,
        }),
        other => return Err(format!("is of the unknown type {:?}", clipped(other))),
    };
    if into.entries.contains_key(&name) {
        return Err("is listed twice".to_owned());
    }
    into.entries.insert(name, entry);
    Ok(())
}

fn fields(object: Object) -> Result<Box<Fields>, String> {
    match object {
        Object::Fields(fields) => Ok(fields),
        Object::NotAnObject(value) => Err(format!("lists {}, not an object", value.kind())),
    }
}

fn text<'a>(value: &'a Scalar, field: &str) -> Result<&'a str, String> {
    match value {
        Scalar::Text(text) => Ok(text),
        Scalar::Missing => Err(format!("`{field}` is missing")),
        other => Err(format!("`{field}` is {}, not a text", other.kind())),
    }
}

fn named<'a, T, E: std::fmt::Display>(
    text: &'a str,
    new: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<T, String> {
    new(text).map_err(|error| clipped(&error.to_string()))
}

fn target<T: TryFrom<String, Error: std::error::Error>>(value: &Scalar) -> Result<T, String> {
    let text = text(value, "target")?;
    T::try_from(text.to_owned()).map_err(|error| {
        let why = std::error::Error::source(&error).map_or(String::new(), |e| format!(": {e}"));
        clipped(&format!("its target {error}{why}"))
    })
}

fn size_text(value: &Scalar) -> Result<String, String> {
    let size = text(value, "size")?;
    if size.len() > MAX_SIZE_TEXT || size.chars().any(char::is_control) {
        return Err("`size` is not a size".to_owned());
    }
    Ok(size.to_owned())
}

fn time(value: &Scalar, field: &str, now: i64) -> Result<i64, String> {
    match *value {
        Scalar::Integer(time) if time < 0 => Err(format!("`{field}` is before 1970 ({time})")),
        Scalar::Integer(time) if time > now.saturating_add(FUTURE_SLACK) => {
            Err(format!("`{field}` is in the future ({time})"))
        }
        Scalar::Integer(time) => Ok(time),
        Scalar::Missing => Err(format!("`{field}` is missing")),
        ref other => Err(format!("`{field}` is {}, not a time", other.kind())),
    }
}

/// A name for a report, whatever came in its place.
fn describe(name: &Scalar) -> String {
    match name {
        Scalar::Text(text) if bcm_core::names::check(text).is_ok() => text.clone(),
        Scalar::Text(text) => format!("{:?}", clipped(text)),
        other => format!("(name: {})", other.kind()),
    }
}

/// `text`, cut to what a report has room for.
fn clipped(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
