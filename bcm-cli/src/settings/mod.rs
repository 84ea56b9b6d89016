//! From what was typed to what is meant: flags over environment over `bcm.toml` over defaults.
//!
//! [`key`] names every setting once; [`mod@file`] reads `bcm.toml`; [`value`] reads the values; the
//! rest of the module puts the layers together.

pub(crate) mod bootstrap;
pub(crate) mod cluster;
pub(crate) mod edit;
pub(crate) mod file;
pub(crate) mod follow;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod listen;
#[cfg(test)]
mod reference;
pub(crate) mod serve;
pub(crate) mod stack;
pub(crate) mod store;
pub(crate) mod sync;
pub(crate) mod value;
pub(crate) mod vm;

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use file::{ConfigFile, FileError};
use key::{AnyKey, Key};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// A flag of this call.
    Flag,
    /// A `BCM_…` variable.
    Environment,
    /// `bcm.toml`.
    File,
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// For people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SettingsError {
    /// `bcm.toml` is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// A variable has a value that means nothing.
    #[error("{variable}: {why}")]
    Variable {
        /// The variable.
        variable: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value of the file or a default stopped being one; the file is checked when it is read.
    #[error("`{name}`: {why}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Two settings that do not go together, or one that lacks another.
    #[error("{0}")]
    Together(String),
}

/// The layers below the flags.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    environment: Environment,
    file: Option<ConfigFile>,
}

impl Settings {
    /// Reads the file: the one that `--config` or `BCM_CONFIG` names, else `./bcm.toml`, else the
    /// user's own. A file that was named has to be there.
    ///
    /// # Errors
    /// The file is wrong.
    pub(crate) fn load(
        environment: Environment,
        named: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let (path, must_exist) = config_path(&environment, named);
        let file = match path {
            Some(path) if must_exist || path.is_file() => Some(ConfigFile::read(&path)?),
            _ => None,
        };
        Ok(Self { environment, file })
    }

    /// Settings that come from flags and defaults only: no variable and no file is looked at.
    pub(crate) fn bare(environment: Environment) -> Self {
        let variables = environment
            .variables
            .into_iter()
            .filter(|(name, _)| !name.starts_with(crate::environment::PREFIX))
            .collect();
        Self {
            environment: Environment {
                variables,
                ..environment
            },
            file: None,
        }
    }

    /// The surroundings.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The `bcm.toml` in use.
    pub(crate) fn file(&self) -> Option<&ConfigFile> {
        self.file.as_ref()
    }

    /// The texts of a setting below the flags, and where they came from.
    pub(crate) fn texts(&self, key: &dyn AnyKey) -> (Vec<String>, Origin) {
        let meta = key.meta();
        if let Some(text) = self.environment.variable(&meta.variable()) {
            let texts = match meta.kind {
                key::Kind::Texts => value::list(text).into_iter().map(str::to_owned).collect(),
                _ => vec![text.to_owned()],
            };
            return (texts, Origin::Environment);
        }
        if let Some(texts) = self.file.as_ref().and_then(|file| file.get(meta.name)) {
            return (texts.to_vec(), Origin::File);
        }
        let texts = meta.default.iter().map(|text| (*text).to_owned()).collect();
        (texts, Origin::Default)
    }

    /// A setting that may have several values: `flags` if there are any.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub(crate) fn many<T: Clone>(
        &self,
        key: &Key<T>,
        flags: &[T],
    ) -> Result<(Vec<T>, Origin), SettingsError> {
        if !flags.is_empty() {
            return Ok((flags.to_vec(), Origin::Flag));
        }
        let (texts, origin) = self.texts(key);
        let values = texts
            .iter()
            .map(|text| {
                (key.parse)(text).map_err(|why| match origin {
                    Origin::Environment => SettingsError::Variable {
                        variable: key.meta.variable(),
                        why,
                    },
                    _ => SettingsError::Value {
                        name: key.meta.name,
                        why,
                    },
                })
            })
            .collect::<Result<_, _>>()?;
        Ok((values, origin))
    }

    /// A setting that may have one value, or none.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub(crate) fn maybe<T: Clone>(
        &self,
        key: &Key<T>,
        flag: Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let (mut values, _) = self.many(key, flag.as_slice())?;
        Ok(values.pop())
    }

    /// A setting that always has a value, for it has a default.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub(crate) fn one<T: Clone>(&self, key: &Key<T>, flag: Option<T>) -> Result<T, SettingsError> {
        self.maybe(key, flag)?.ok_or_else(|| SettingsError::Value {
            name: key.meta.name,
            why: "it has no value".to_owned(),
        })
    }

    /// The data folder and where that was said. Absolute.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub(crate) fn data(&self, flag: Option<&Path>) -> Result<(PathBuf, Origin), SettingsError> {
        let flags: Vec<PathBuf> = flag.map(Path::to_owned).into_iter().collect();
        let (values, origin) = self.many(&key::DATA, &flags)?;
        let path = match values.into_iter().next() {
            Some(path) => match (origin, &self.file) {
                (Origin::File, Some(file)) => file.folder().join(path),
                _ => path,
            },
            None => self.environment.default_data(),
        };
        Ok((self.environment.folder.join(path), origin))
    }

    /// Names of variables that look like a setting's with a slip in them, each with the setting's.
    pub(crate) fn slips(&self) -> Vec<(String, String)> {
        let known: Vec<String> = key::ALL
            .iter()
            .map(|key| key.meta().variable())
            .chain(["BCM_CONFIG", "BCM_LOG"].map(str::to_owned))
            .collect();
        self.environment
            .variables
            .keys()
            .filter(|name| name.starts_with(crate::environment::PREFIX) && !known.contains(name))
            .filter_map(|name| {
                let close = known
                    .iter()
                    .find(|known| strsim::damerau_levenshtein(name, known) <= 2)?;
                Some((name.clone(), close.clone()))
            })
            .collect()
    }
}

/// The path of the `bcm.toml` to use, and whether somebody named it.
pub(crate) fn config_path(
    environment: &Environment,
    named: Option<&Path>,
) -> (Option<PathBuf>, bool) {
    let named = named
        .map(Path::to_owned)
        .or_else(|| environment.variable("BCM_CONFIG").map(PathBuf::from));
    if let Some(path) = named {
        return (Some(environment.folder.join(path)), true);
    }
    let here = environment.folder.join("bcm.toml");
    if here.is_file() {
        return (Some(here), false);
    }
    (environment.user_config(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], file: Option<&str>) -> Settings {
        Settings {
            environment: Environment {
                variables: variables
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                folder: "/here".into(),
                program: "bcm".into(),
                root: true,
                terminal: false,
            },
            file: file.map(|text| ConfigFile::parse(Path::new("/conf/bcm.toml"), text).unwrap()),
        }
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let file = Some("hub.parallel = 3");
        let variables: &[_] = &[("BCM_HUB_PARALLEL", "4")];
        let parallel = |s: &Settings, flag| s.one(&key::PARALLEL, flag).unwrap();
        assert_eq!(parallel(&settings(variables, file), Some(5)), 5);
        assert_eq!(parallel(&settings(variables, file), None), 4);
        assert_eq!(parallel(&settings(&[], file), None), 3);
        assert_eq!(parallel(&settings(&[], None), None), 16);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let error = settings(&[("BCM_HUB_PARALLEL", "many")], None)
            .one(&key::PARALLEL, None)
            .unwrap_err();
        assert!(
            error.to_string().starts_with("BCM_HUB_PARALLEL: \"many\""),
            "{error}"
        );
    }

    #[test]
    fn relative_data_folders_start_where_they_were_written() {
        let data = |s: &Settings, flag: Option<&str>| s.data(flag.map(Path::new)).unwrap();
        let file = Some("data = 'd'");
        assert_eq!(
            data(&settings(&[], file), None),
            ("/conf/d".into(), Origin::File)
        );
        assert_eq!(
            data(&settings(&[], file), Some("f")),
            ("/here/f".into(), Origin::Flag)
        );
        let variables: &[_] = &[("BCM_DATA", "e")];
        assert_eq!(
            data(&settings(variables, file), None),
            ("/here/e".into(), Origin::Environment)
        );
        assert_eq!(
            data(&settings(&[], None), None),
            ("/var/lib/bcm".into(), Origin::Default)
        );
    }

    #[test]
    fn slips_in_variables_are_seen_and_foreign_ones_are_not() {
        let settings = settings(
            &[
                ("BCM_DTA", "x"),
                ("BCM_CONFIG", "x"),
                ("BCM_SERVICE_HOST", "10.0.0.1"),
            ],
            None,
        );
        assert_eq!(
            settings.slips(),
            [("BCM_DTA".to_owned(), "BCM_DATA".to_owned())]
        );
    }
}
