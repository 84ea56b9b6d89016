//! What machines are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::settings::cluster::LOCAL;

/// A name that is a file's, an alias in ssh_config and a host in `--host` as it is: letters, digits,
/// `.`, `_` and `-`, 63 at most, with a letter or digit first. `local` is this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct OnionName(String);

/// A text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for a machine: it takes letters, digits, `.`, `_` and `-`, 63 at most, and begins with a letter or digit; `local` is this machine"
)]
pub(crate) struct InvalidName(String);

impl OnionName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OnionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        match first && rest && text.len() <= 63 && text != LOCAL && !text.ends_with(".onion") {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidName(text.to_owned())),
        }
    }
}

impl TryFrom<String> for OnionName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<OnionName> for String {
    fn from(name: OnionName) -> Self {
        name.0
    }
}

impl fmt::Display for OnionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_everywhere() {
        for name in ["node1", "node-1.home", "7"] {
            assert!(name.parse::<OnionName>().is_ok(), "{name}");
        }
        for name in [
            "", "local", "../x", "-x", "a b", "*", "a/b", ".a", "x.onion", "a\nb",
        ] {
            assert!(name.parse::<OnionName>().is_err(), "{name}");
        }
    }
}
