//! What differs between LXD and Incus.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of the two daemons this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// LXD, by Canonical.
    Lxd,
    /// Incus, the community's fork.
    Incus,
}

/// Where the daemons listen, in the order in which to look: flavour and path.
pub const SOCKETS: [(Flavour, &str); 4] = [
    (Flavour::Lxd, "/var/snap/lxd/common/lxd/unix.socket"),
    (Flavour::Lxd, "/var/lib/lxd/unix.socket"),
    (Flavour::Incus, "/run/incus/unix.socket"),
    (Flavour::Incus, "/var/lib/incus/unix.socket"),
];

impl Flavour {
    /// The name of the daemon, as `environment.server` of `GET /1.0` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lxd => "lxd",
            Self::Incus => "incus",
        }
    }

    /// The flavour that `environment.server` names.
    #[must_use]
    pub fn from_server(name: &str) -> Option<Self> {
        match name {
            "lxd" => Some(Self::Lxd),
            "incus" => Some(Self::Incus),
            _ => None,
        }
    }

    /// The group whose members may use the daemon's socket.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Lxd => "lxd",
            Self::Incus => "incus-admin",
        }
    }

    /// The command that people use it with.
    #[must_use]
    pub fn cli(self) -> &'static str {
        match self {
            Self::Lxd => "lxc",
            Self::Incus => "incus",
        }
    }

    /// The fields under which `PUT /1.0/cluster` takes a join token in server version `version`.
    ///
    /// LXD 5.0 takes it as `cluster_password` and silently ignores `cluster_token`; 5.21.2 to 6.2
    /// take either; LXD from 6.3 and Incus take only `cluster_token`. An unknown field does no
    /// harm to any of them, so versions in between get both.
    #[must_use]
    pub fn token_fields(self, version: &str) -> &'static [&'static str] {
        let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match self {
            Self::Incus => &["cluster_token"],
            Self::Lxd if (major, minor) >= (6, 3) => &["cluster_token"],
            Self::Lxd if (major, minor) < (5, 21) => &["cluster_password"],
            Self::Lxd => &["cluster_password", "cluster_token"],
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lxd => "LXD",
            Self::Incus => "Incus",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_where_the_version_looks() {
        for (flavour, version, fields) in [
            (Flavour::Lxd, "5.0.2", &["cluster_password"][..]),
            (Flavour::Lxd, "5.20", &["cluster_password"]),
            (
                Flavour::Lxd,
                "5.21.3",
                &["cluster_password", "cluster_token"],
            ),
            (Flavour::Lxd, "6.2", &["cluster_password", "cluster_token"]),
            (Flavour::Lxd, "6.3", &["cluster_token"]),
            (Flavour::Lxd, "7.0", &["cluster_token"]),
            (Flavour::Incus, "6.0.4", &["cluster_token"]),
        ] {
            assert_eq!(flavour.token_fields(version), fields, "{flavour} {version}");
        }
    }
}
