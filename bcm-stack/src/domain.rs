//! The domain that a mirror is reached by, and the names below it.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

/// The longest name that DNS takes, in bytes (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

/// The longest label between two dots, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// Why a text is not a domain that a mirror can be reached by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDomain {
    /// There is nothing.
    #[error("the domain is empty; expected one such as example.org")]
    Empty,
    /// An address, which no name can be put before.
    #[error("{0} is an address; a domain is needed, for the mirror has several names below it")]
    Address(String),
    /// A URL or a part of one.
    #[error("{0:?} is not a domain alone: leave scheme, port and path away")]
    Url(String),
    /// A wildcard.
    #[error("{0:?} has a wildcard; give the domain below which the names are")]
    Wildcard(String),
    /// Letters that DNS does not have.
    #[error("{0:?} has letters beyond ASCII; give the form that begins with xn--")]
    NotAscii(String),
    /// A label is not one.
    #[error(
        "{domain:?}: {label:?} is not a part of a name: 1 to 63 letters, digits and dashes, without a dash at either end"
    )]
    Label {
        /// The whole.
        domain: String,
        /// What is wrong in it.
        label: String,
    },
    /// One label alone.
    #[error("{0:?} has no dot; expected a domain such as example.org or home.arpa")]
    OneLabel(String),
    /// The names below it would be too long.
    #[error("{0:?} is too long: with the names before it, more than 253 characters")]
    TooLong(String),
}

/// A domain in lower case, without a dot at its end: `example.org`. The names of a mirror are
/// [below](Domain::names) it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Domain(String);

impl Domain {
    /// Checks `text`: at least two labels of letters, digits and dashes.
    ///
    /// # Errors
    /// What `text` is instead.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        let name = text.trim();
        let name = name.strip_suffix('.').unwrap_or(name);
        let owned = || text.trim().to_owned();
        if name.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return Err(InvalidDomain::Address(owned()));
        }
        if name.contains(['/', ':', '@', '?']) {
            return Err(InvalidDomain::Url(owned()));
        }
        if name.contains('*') {
            return Err(InvalidDomain::Wildcard(owned()));
        }
        if !name.is_ascii() {
            return Err(InvalidDomain::NotAscii(owned()));
        }
        if let Some(label) = name.split('.').find(|label| !is_label(label)) {
            return Err(InvalidDomain::Label {
                domain: owned(),
                label: label.to_owned(),
            });
        }
        if !name.contains('.') {
            return Err(InvalidDomain::OneLabel(owned()));
        }
        let domain = Self(name.to_ascii_lowercase());
        match domain.unsecure_bootstrap().len() > MAX_NAME {
            true => Err(InvalidDomain::TooLong(owned())),
            false => Ok(domain),
        }
    }

    /// The domain itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the Bootstrap is by plain HTTP, which firmware can speak: `unsecure.bootstrap.DOMAIN`.
    /// Boot scripts and media lead there.
    #[must_use]
    pub fn unsecure_bootstrap(&self) -> String {
        let [_, _, unsecure] = self.names();
        unsecure
    }

    /// All names: the Hub's `hub.DOMAIN`, the Bootstrap's `bootstrap.DOMAIN`, and
    /// [the one without TLS](Self::unsecure_bootstrap).
    #[must_use]
    pub fn names(&self) -> [String; 3] {
        names(&self.0)
    }
}

/// The names below `domain`, which may also be what stands for one.
pub(crate) fn names(domain: &str) -> [String; 3] {
    ["hub", "bootstrap", "unsecure.bootstrap"].map(|name| format!("{name}.{domain}"))
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_taken_in_lower_case_without_the_root() {
        let domain = Domain::new(" Grid.Example.ORG. ").unwrap();
        assert_eq!(domain.as_str(), "grid.example.org");
        assert_eq!(
            domain.names(),
            [
                "hub.grid.example.org",
                "bootstrap.grid.example.org",
                "unsecure.bootstrap.grid.example.org"
            ]
        );
        assert!(Domain::new("xn--bcher-kva.example").is_ok());
        assert!(Domain::new("home.arpa").is_ok());
    }

    #[test]
    fn what_is_no_domain_is_told_by_its_kind() {
        use InvalidDomain as E;
        let kind = |text: &str| Domain::new(text).unwrap_err();
        assert_eq!(kind(" "), E::Empty);
        assert_eq!(kind("."), E::Empty);
        assert!(matches!(kind("192.0.2.1"), E::Address(_)));
        assert!(matches!(kind("[2001:db8::1]"), E::Address(_)));
        assert!(matches!(kind("https://example.org"), E::Url(_)));
        assert!(matches!(kind("example.org:443"), E::Url(_)));
        assert!(matches!(kind("example.org/x"), E::Url(_)));
        assert!(matches!(kind("*.example.org"), E::Wildcard(_)));
        assert!(matches!(kind("bücher.example"), E::NotAscii(_)));
        assert!(matches!(kind("example"), E::OneLabel(_)));
        for bad in [
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b.c",
            "a\nb.c",
            "{$X}.c",
            &"x".repeat(64),
        ] {
            assert!(matches!(kind(bad), E::Label { .. }), "{bad}");
        }
        let long = format!("{}.org", ["x"; 4].map(|x| x.repeat(60)).join("."));
        assert!(matches!(kind(&long), E::TooLong(_)));
    }
}
