//! `bcm.toml`: reading it, with errors that point at the place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike, Value};

use bcm_core::redact;

use super::key::{self, AnyKey, Kind};
use bcm_lxd::cluster::ClusterSpec;

/// A `bcm.toml` that was read and whose every key and value was checked.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The values of each key, as text.
    values: BTreeMap<&'static str, Vec<String>>,
    /// `[cluster]`, which is read in one piece.
    pub(crate) cluster: Option<ClusterSpec>,
}

/// What is read apart from the keys.
#[derive(serde::Deserialize)]
struct ClusterTable {
    cluster: Option<ClusterSpec>,
}

/// `bcm.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Content(Box<Mistake>),
}

/// A mistake in `bcm.toml` and its place.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The file.
    pub(crate) path: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// What is wrong, with the key.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
    /// The line's text, without the passwords in it.
    pub(crate) excerpt: String,
    /// How many characters of it are meant; 0 where the place cannot be shown.
    pub(crate) width: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{path}:{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Mistake {}

impl ConfigFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, or has an unknown key or a wrong value.
    pub(crate) fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Checks the content `text` of the file `path`.
    ///
    /// # Errors
    /// It is not TOML, or has an unknown key or a wrong value.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let mistake = |span: Option<Range<usize>>, message: String, hint: Option<String>| {
            FileError::Content(Box::new(Mistake::at(path, text, span, message, hint)))
        };
        let document = Document::parse(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', "; ");
            mistake(error.span(), message, None)
        })?;
        let cluster = toml::from_str::<ClusterTable>(text)
            .map_err(|error| {
                let message = error.message().trim_end().replace('\n', "; ");
                mistake(error.span(), message, None)
            })?
            .cluster;
        let mut found = BTreeMap::new();
        read_table(document.as_table(), "", &mut found)
            .map_err(|wrong| mistake(wrong.span, wrong.message, wrong.hint))?;
        Ok(Self {
            path: path.to_owned(),
            values: found,
            cluster,
        })
    }

    /// The values of a key, as text, where the file has it.
    pub(crate) fn get(&self, name: &str) -> Option<&[String]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// The folder that relative paths in the file start from.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// A mistake before its line and column are counted.
struct Wrong {
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
}

fn read_table(
    table: &dyn TableLike,
    prefix: &str,
    found: &mut BTreeMap<&'static str, Vec<String>>,
) -> Result<(), Wrong> {
    for (name, item) in table.iter() {
        let full = format!("{prefix}{name}");
        let here = table.key(name).and_then(toml_edit::Key::span);
        if full == "cluster" {
            // Already read.
        } else if let Some(key) = key::find(&full) {
            found.insert(key.meta().name, read_value(key, item)?);
        } else if key::ALL
            .iter()
            .any(|key| key.meta().name.starts_with(&format!("{full}.")))
        {
            let inner = item.as_table_like().ok_or_else(|| Wrong {
                span: item.span().or(here),
                message: format!("`{full}` is a table, not {}", kind_of(item)),
                hint: Some(format!("write its keys below a line [{full}]")),
            })?;
            read_table(inner, &format!("{full}."), found)?;
        } else {
            let close = key::meant(&full);
            return Err(Wrong {
                span: here,
                message: format!("unknown key `{full}`"),
                hint: Some(close.map_or_else(
                    || "`bcm config get` lists every key".to_owned(),
                    |close| format!("did you mean `{close}`?"),
                )),
            });
        }
    }
    Ok(())
}

fn read_value(key: &dyn AnyKey, item: &Item) -> Result<Vec<String>, Wrong> {
    let meta = key.meta();
    let wrong_type = |span, found| Wrong {
        span,
        message: format!(
            "`{}` takes {}, not {found}",
            meta.name,
            meta.kind.expected()
        ),
        hint: None,
    };
    let check = |text: &str, span| match key.check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(Wrong {
            span,
            message: format!("`{}`: {error}", meta.name),
            hint: None,
        }),
    };
    let Some(value) = item.as_value() else {
        return Err(wrong_type(item.span(), kind_of(item)));
    };
    if let (Kind::Texts, Value::Array(array)) = (meta.kind, value) {
        return array
            .iter()
            .map(|element| match element.as_str() {
                Some(text) => check(text, element.span()),
                None => Err(wrong_type(
                    element.span(),
                    format!("an array with {}", element.type_name()),
                )),
            })
            .collect();
    }
    let text = match (meta.kind, value) {
        (Kind::Text | Kind::Texts | Kind::Share, Value::String(text)) => text.value().clone(),
        (Kind::Count, Value::Integer(number)) => number.value().to_string(),
        (Kind::Share, Value::Float(number)) => number.value().to_string(),
        (Kind::Share, Value::Integer(number)) => number.value().to_string(),
        (Kind::Switch, Value::Boolean(switch)) => switch.value().to_string(),
        _ => return Err(wrong_type(value.span(), kind_of(item))),
    };
    check(&text, value.span()).map(|text| vec![text])
}

/// "a table", "an integer", …
fn kind_of(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

impl Mistake {
    fn at(
        path: &Path,
        text: &str,
        span: Option<Range<usize>>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        let span = span.unwrap_or(0..0);
        // A span at the very end of a file belongs to its last line.
        let start = floor_char_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |length| start + length);
        let end = floor_char_boundary(text, span.end).clamp(start, line_end);
        let line = text[line_start..line_end].trim_end();
        let excerpt = redact::text(line);
        // What is hidden moves what is behind it.
        let width = match excerpt == line {
            true => text[start..end].chars().count().max(1),
            false => 0,
        };
        Self {
            path: path.to_owned(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message: redact::text(&message),
            hint,
            excerpt,
            width,
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> Mistake {
        match ConfigFile::parse(Path::new("bcm.toml"), text) {
            Err(FileError::Content(mistake)) => *mistake,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn all_kinds_are_read() {
        let file = ConfigFile::parse(
            Path::new("/etc/bcm.toml"),
            "data = '/srv'\nquiet = true\n[hub]\nupstream = 'http://a'\nrepo = ['tf-*', 'x']\n\
             max-delete = 0.5\nparallel = 2\nhub.http = []\n"
                .replace("hub.http", "http")
                .as_str(),
        )
        .unwrap();
        assert_eq!(file.get("data").unwrap(), ["/srv"]);
        assert_eq!(file.get("quiet").unwrap(), ["true"]);
        assert_eq!(file.get("hub.upstream").unwrap(), ["http://a"]);
        assert_eq!(file.get("hub.repo").unwrap(), ["tf-*", "x"]);
        assert_eq!(file.get("hub.max-delete").unwrap(), ["0.5"]);
        assert_eq!(file.get("hub.parallel").unwrap(), ["2"]);
        assert_eq!(file.get("hub.http").unwrap(), [""; 0]);
        assert_eq!(file.get("hub.profile"), None);
        assert_eq!(file.folder(), Path::new("/etc"));
    }

    #[test]
    fn dotted_and_inline_keys_are_the_same_keys() {
        for text in ["hub.parallel = 3", "hub = { parallel = 3 }"] {
            let file = ConfigFile::parse(Path::new("f"), text).unwrap();
            assert_eq!(file.get("hub.parallel").unwrap(), ["3"]);
        }
    }

    #[test]
    fn mistakes_point_at_their_place() {
        for (text, place, message, hint) in [
            (
                "data = '/x'\n[hub]\n  upsteam = 'http://a'\n",
                (3, 3, 7),
                "unknown key `hub.upsteam`",
                Some("did you mean `hub.upstream`?"),
            ),
            (
                "[hubb]\n",
                (1, 2, 4),
                "unknown key `hubb`",
                Some("did you mean `hub`?"),
            ),
            (
                "colour = 3",
                (1, 1, 6),
                "unknown key `colour`",
                Some("`bcm config get` lists every key"),
            ),
            (
                "[hub]\nparallel = \"8\"\n",
                (2, 12, 3),
                "`hub.parallel` takes a whole number, not a string",
                None,
            ),
            (
                "[hub]\nrepo = ['é', 3]\n",
                (2, 14, 1),
                "`hub.repo` takes an array of strings, not an array with integer",
                None,
            ),
            (
                "hub.max-delete = '120%'",
                (1, 18, 6),
                "`hub.max-delete`: \"120%\" is not a share from 0% to 100% (or 0.0 to 1.0)",
                None,
            ),
            (
                "hub = 3",
                (1, 7, 1),
                "`hub` is a table, not an integer",
                Some("write its keys below a line [hub]"),
            ),
            (
                "data = { a = 1 }",
                (1, 8, 9),
                "`data` takes a string, not an inline table",
                None,
            ),
        ] {
            let mistake = mistake(text);
            assert_eq!(
                (mistake.line, mistake.column, mistake.width),
                place,
                "{text}"
            );
            assert_eq!(mistake.message, message);
            assert_eq!(mistake.hint.as_deref(), hint);
        }
    }

    #[test]
    fn broken_toml_has_a_place_too() {
        for text in [
            "data = ",
            "[hub\n",
            "data = 'a'\ndata = 'b'\n",
            "é é = 3",
            "\"\n",
        ] {
            let mistake = mistake(text);
            assert!(mistake.line >= 1 && mistake.column >= 1, "{text:?}");
            assert!(!mistake.message.is_empty(), "{text:?}");
        }
        let twice = mistake("data = 'a'\ndata = 'b'\n");
        assert_eq!((twice.line, twice.column), (2, 1), "{twice}");
    }
}
