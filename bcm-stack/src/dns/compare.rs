//! Whether the records that there are, are those that there have to be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::domain::Domain;

/// What a name server says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// The name's addresses; none where it has none, or is not there.
    Addresses(Vec<IpAddr>),
    /// There was no answer, and why.
    Failed(String),
}

/// One name, held against what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameCheck {
    /// The name.
    pub name: String,
    /// Addresses that it has and should have.
    pub right: Vec<IpAddr>,
    /// Addresses that it lacks.
    pub missing: Vec<IpAddr>,
    /// Addresses that it has and should not have. A node that picks one of them finds no mirror.
    pub unexpected: Vec<IpAddr>,
    /// Why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl NameCheck {
    /// Whether the name has the wanted addresses and no other.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.failure.is_none()
    }
}

/// All names, held against what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Whether every name has the wanted addresses and no other.
    pub right: bool,
    /// The names, in the order of [`Domain::names`].
    pub names: Vec<NameCheck>,
}

/// Holds what was looked up, for each of [`Domain::names`], against the addresses that each of them
/// has to have.
#[must_use]
pub fn compare(domain: &Domain, wanted: &[IpAddr], found: &[Lookup; 3]) -> Checked {
    let names: Vec<NameCheck> = domain
        .names()
        .into_iter()
        .zip(found)
        .map(|(name, found)| one(name, wanted, found))
        .collect();
    Checked {
        right: names.iter().all(NameCheck::is_right),
        names,
    }
}

fn one(name: String, wanted: &[IpAddr], found: &Lookup) -> NameCheck {
    let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
    let (found, failure) = match found {
        Lookup::Addresses(found) => (found.iter().copied().collect(), None),
        Lookup::Failed(why) => (BTreeSet::new(), Some(why.clone())),
    };
    let missing = match failure {
        // Nothing is known, so nothing is missing either.
        Some(_) => Vec::new(),
        None => wanted.difference(&found).copied().collect(),
    };
    NameCheck {
        name,
        right: wanted.intersection(&found).copied().collect(),
        missing,
        unexpected: found.difference(&wanted).copied().collect(),
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_told_by_name() {
        let domain = Domain::new("example.org").unwrap();
        let (ours, other) = (address("203.0.113.7"), address("203.0.113.99"));
        let found = [
            Lookup::Addresses(vec![ours]),
            Lookup::Addresses(vec![other]),
            Lookup::Failed("no answer".to_owned()),
        ];
        let checked = compare(&domain, &[ours], &found);
        assert!(!checked.right);
        let [hub, bootstrap, unsecure] = &checked.names[..] else {
            panic!("{checked:?}");
        };
        assert!(hub.is_right() && hub.right == [ours]);
        assert_eq!(
            (&bootstrap.missing[..], &bootstrap.unexpected[..]),
            (&[ours][..], &[other][..])
        );
        assert!(!unsecure.is_right() && unsecure.missing.is_empty());
        let all = [(); 3].map(|()| Lookup::Addresses(vec![ours, ours]));
        assert!(compare(&domain, &[ours], &all).right);
        assert!(!compare(&domain, &[ours, other], &all).right);
    }
}
