//! The Debian releases that machines can run.

use std::{fmt, str::FromStr};

/// A Debian release.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Debian 12, whose packages include LXD 5.0.
    Bookworm,
    /// Debian 13, whose packages include Incus 6.0.
    Trixie,
}

impl Release {
    /// Debian's name of the release, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "bookworm" => Ok(Self::Bookworm),
            "trixie" => Ok(Self::Trixie),
            other => Err(format!("{other:?} is neither bookworm nor trixie")),
        }
    }
}
