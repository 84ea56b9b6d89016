//! The Debian releases that machines can run, and what is installed there.

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

/// What machines have beyond a fresh installation of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preinstalled {
    /// Nothing.
    Nothing,
    /// The engine that the release has, never started: for tests of what comes after its installation.
    Engine,
}

impl Preinstalled {
    /// Debian's packages: the engine's first, then what it needs to make bridges, as on machines
    /// whose operator installed it with what it recommends.
    pub(super) fn packages(self, release: Release) -> &'static [&'static str] {
        match (self, release) {
            (Self::Nothing, _) => &[],
            (Self::Engine, Release::Bookworm) => {
                &["lxd", "lxd-client", "dnsmasq-base", "nftables", "iptables"]
            }
            (Self::Engine, Release::Trixie) => &["incus", "dnsmasq-base", "nftables"],
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
