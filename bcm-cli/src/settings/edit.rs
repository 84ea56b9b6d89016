//! Writing `bcm.toml` the way a person left it: comments, order and spaces stay.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use super::key::{Kind, Meta};

/// Permission bits of a new `bcm.toml`: an address in it may hold a password.
const NEW_FILE_MODE: u32 = 0o600;

/// A `bcm.toml` that is about to be changed, or made.
#[derive(Debug)]
pub(crate) struct Edit {
    path: PathBuf,
    document: DocumentMut,
    mode: u32,
}

/// `bcm.toml` cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EditError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its folder cannot be made.
    #[error("could not create {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML (it was when it was checked a moment ago).
    #[error("{} is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Why.
        source: toml_edit::TomlError,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

impl Edit {
    /// Reads the file; one that does not exist is empty.
    ///
    /// # Errors
    /// It cannot be read or is not TOML.
    pub(crate) fn load(path: &Path) -> Result<Self, EditError> {
        let read = |source| EditError::Read {
            path: path.to_owned(),
            source,
        };
        // A link (into a dotfiles folder, say) stays one: what it leads to is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (text, mode) = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let mode = std::fs::metadata(&path).map_err(read)?.permissions().mode();
                (text, mode & 0o7777)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), NEW_FILE_MODE),
            Err(error) => return Err(read(error)),
        };
        let document = text.parse().map_err(|source| EditError::Syntax {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            document,
            mode,
        })
    }

    /// The file's text with `values` as the value of a setting. They have been checked.
    pub(crate) fn with(&self, meta: &Meta, values: &[String]) -> String {
        let mut document = self.document.clone();
        let mut table: &mut dyn TableLike = document.as_table_mut();
        let mut name = meta.name;
        while let Some((section, rest)) = name.split_once('.') {
            let entry = table.entry(section).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(false);
                Item::Table(table)
            });
            let Some(inner) = entry.as_table_like_mut() else {
                // The file was checked: a section is a table.
                return document.to_string();
            };
            table = inner;
            name = rest;
        }
        let mut new = value(meta.kind, values);
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(old) => {
                // What stands before and after the value, such as a comment on its line.
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            None => {
                table.insert(name, Item::Value(new));
            }
        }
        document.to_string()
    }

    /// Replaces the file by `content`.
    ///
    /// # Errors
    /// It cannot be written; the old file is then as it was.
    pub(crate) fn write(&self, content: &str) -> Result<(), EditError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| EditError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(atomic_file::write(
            &self.path,
            content.as_bytes(),
            self.mode,
        )?)
    }
}

fn value(kind: Kind, values: &[String]) -> Value {
    let first = values.first().map(String::as_str).unwrap_or_default();
    match kind {
        Kind::Texts => Value::Array(values.iter().map(String::as_str).collect::<Array>()),
        Kind::Count => first
            .parse::<i64>()
            .map_or_else(|_| first.into(), Value::from),
        Kind::Switch => super::value::switch(first).map_or_else(|_| first.into(), Value::from),
        Kind::Text | Kind::Share => first.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::ConfigFile;
    use super::super::key::{AnyKey, find};
    use super::*;

    fn edit(text: &str, key: &str, values: &[&str]) -> String {
        let edit = Edit {
            path: "bcm.toml".into(),
            document: text.parse().unwrap(),
            mode: NEW_FILE_MODE,
        };
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        let key: &dyn AnyKey = find(key).unwrap();
        let content = edit.with(key.meta(), &values);
        let read = ConfigFile::parse(Path::new("bcm.toml"), &content).unwrap();
        assert_eq!(read.get(key.meta().name).unwrap(), values);
        content
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let text = "# mine\ndata = '/srv' # the big disk\n\n[hub]\n# slow line\nparallel   =  2 # no more\n";
        assert_eq!(
            edit(text, "hub.parallel", &["4"]),
            text.replace("=  2", "=  4")
        );
        assert_eq!(
            edit(text, "data", &["/mnt"]),
            text.replace("'/srv'", "\"/mnt\"")
        );
        assert_eq!(
            edit(text, "hub.repo", &["tf-*", "alice.3bot"]),
            format!("{text}repo = [\"tf-*\", \"alice.3bot\"]\n")
        );
    }

    #[test]
    fn a_new_file_is_made_of_sections() {
        assert_eq!(
            edit("", "hub.max-delete", &["50%"]),
            "[hub]\nmax-delete = \"50%\"\n"
        );
        assert_eq!(edit("", "quiet", &["true"]), "quiet = true\n");
    }

    #[test]
    fn all_ways_to_write_a_section_are_kept() {
        assert_eq!(
            edit("hub.parallel = 3\n", "hub.connections", &["2"]),
            "hub.parallel = 3\nhub.connections = 2\n"
        );
        assert_eq!(
            edit("hub = { parallel = 3 }\n", "hub.parallel", &["2"]),
            "hub = { parallel = 2 }\n"
        );
    }

    #[test]
    fn writing_keeps_the_mode_and_makes_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/bcm.toml");
        let edit = Edit::load(&path).unwrap();
        edit.write("quiet = true\n").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        Edit::load(&path).unwrap().write("").unwrap();
        assert_eq!(mode(&path), 0o640);
    }
}
