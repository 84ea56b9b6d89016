//! Run modes: which of the networks a node joins.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name of a run mode.
const MAX_MODE: usize = 32;
/// The longest title of a run mode.
const MAX_TITLE: usize = 64;

/// Why something cannot be a run mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunModeError {
    /// The short name.
    #[error("{0:?} cannot be a run mode: it takes 1 to 32 lower-case letters, digits and dashes")]
    Name(String),
    /// The long name.
    #[error(
        "{0:?} cannot be the title of a run mode: it takes 1 to 64 letters, digits, spaces and any of . , : _ + - / ( )"
    )]
    Title(String),
    /// The same run mode twice.
    #[error("the run mode {0} is there twice")]
    Twice(RunMode),
}

/// The short name of a run mode, such as `prod`: 1 to 32 lower-case letters, digits and dashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunMode(Box<str>);

impl RunMode {
    /// Takes `name` if it is one.
    ///
    /// # Errors
    /// It is too long, or has other characters.
    pub fn new(name: impl AsRef<str>) -> Result<Self, RunModeError> {
        let name = name.as_ref();
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let right = (1..=MAX_MODE).contains(&name.len())
            && name.chars().all(legal)
            && !name.starts_with('-');
        if right {
            Ok(Self(name.into()))
        } else {
            Err(RunModeError::Name(name.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its link: `prod.efi`.
    #[must_use]
    pub fn link(&self) -> String {
        format!("{self}.efi")
    }

    /// The run mode whose link is named `link`.
    #[must_use]
    pub fn of_link(link: &str) -> Option<Self> {
        Self::new(link.strip_suffix(".efi")?).ok()
    }
}

impl fmt::Debug for RunMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for RunMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for RunMode {
    type Error = RunModeError;
    fn try_from(name: String) -> Result<Self, RunModeError> {
        Self::new(name)
    }
}

impl std::str::FromStr for RunMode {
    type Err = RunModeError;
    fn from_str(name: &str) -> Result<Self, RunModeError> {
        Self::new(name)
    }
}

impl From<RunMode> for String {
    fn from(name: RunMode) -> Self {
        name.0.into()
    }
}

/// The run modes that there are, in the order that people see them in, each with its title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunModes(Vec<(RunMode, String)>);

impl RunModes {
    /// Takes run modes with their titles.
    ///
    /// # Errors
    /// A title that cannot be shown by a boot script, or a run mode that is there twice.
    pub fn new(modes: impl IntoIterator<Item = (RunMode, String)>) -> Result<Self, RunModeError> {
        let mut all: Vec<(RunMode, String)> = Vec::new();
        for (mode, title) in modes {
            let legal = |c: char| c.is_ascii_alphanumeric() || " .,:_+-/()".contains(c);
            let right = (1..=MAX_TITLE).contains(&title.len()) && title.chars().all(legal);
            if !right || title.trim() != title {
                return Err(RunModeError::Title(title));
            }
            if all.iter().any(|(other, _)| *other == mode) {
                return Err(RunModeError::Twice(mode));
            }
            all.push((mode, title));
        }
        Ok(Self(all))
    }

    /// The title of a run mode; `None` where there is no such mode.
    #[must_use]
    pub fn title(&self, mode: &RunMode) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == mode)?;
        Some(&found.1)
    }

    /// All run modes with their titles.
    pub fn iter(&self) -> impl Iterator<Item = (&RunMode, &str)> {
        self.0.iter().map(|(mode, title)| (mode, title.as_str()))
    }
}

/// Upstream's own: prod, test, dev, qa.
impl Default for RunModes {
    fn default() -> Self {
        let all = [
            ("prod", "Production"),
            ("test", "Testing"),
            ("dev", "Development"),
            ("qa", "Quality assurance"),
        ];
        Self(
            all.into_iter()
                .map(|(mode, title)| (RunMode(mode.into()), title.to_owned()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["prod", "qa", "v4-main", "3"] {
            let mode = RunMode::new(name).unwrap();
            assert_eq!(RunMode::of_link(&mode.link()), Some(mode));
        }
        let long = "a".repeat(33);
        for name in [
            "", "Prod", "-a", "a b", "a\nb", "a.b", "../a", "${a}", "é", &long,
        ] {
            assert!(RunMode::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn titles_cannot_leave_their_line() {
        let mode = || RunMode::new("x").unwrap();
        for title in ["", " a", "a\nb", "${a}", "a'b", "a#b", "a && b", "a;b"] {
            assert!(
                RunModes::new([(mode(), title.to_owned())]).is_err(),
                "{title:?}"
            );
        }
        let twice = [(mode(), "A".to_owned()), (mode(), "B".to_owned())];
        assert_eq!(RunModes::new(twice), Err(RunModeError::Twice(mode())));
        let defaults = RunModes::default();
        let all = defaults
            .iter()
            .map(|(mode, title)| (mode.clone(), title.to_owned()));
        assert_eq!(RunModes::new(all).unwrap(), defaults);
    }
}
