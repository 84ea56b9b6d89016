//! Which records there have to be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::domain::Domain;

/// How the names are put into a zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// A record for each name and address.
    #[default]
    Individual,
    /// One for each address at `*.DOMAIN`. It stands for names of several labels, too (RFC 4592,
    /// 2.2.1), unless the zone has a record of its own between them: with `bootstrap.DOMAIN` in the
    /// zone, `unsecure.bootstrap.DOMAIN` is not covered any more.
    Wildcard,
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
}

impl Kind {
    /// The one that holds `address`.
    #[must_use]
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::A,
            IpAddr::V6(_) => Self::Aaaa,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        })
    }
}

/// One record of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The full name, without a dot at its end; `*.DOMAIN` for a wildcard.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What it says.
    pub address: IpAddr,
}

/// As in a zone file: `hub.example.org.  A  203.0.113.7`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.  {}  {}", self.name, self.kind, self.address)
    }
}

/// The records that lead the names of `domain` to `addresses`: by name, then IPv4 before IPv6, in
/// the order of `addresses` without its repetitions.
#[must_use]
pub fn records(domain: &Domain, addresses: &[IpAddr], form: Form) -> Vec<Record> {
    let names = match form {
        Form::Individual => domain.names().to_vec(),
        Form::Wildcard => vec![format!("*.{domain}")],
    };
    let mut distinct: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if !distinct.contains(address) {
            distinct.push(*address);
        }
    }
    distinct.sort_by_key(Kind::of);
    let of = |name: String| {
        distinct.clone().into_iter().map(move |address| Record {
            name: name.clone(),
            kind: Kind::of(&address),
            address,
        })
    };
    names.into_iter().flat_map(of).collect()
}

/// Whether `address` can be reached from anywhere: not one that is kept for private networks, links
/// or this machine. Documentation's own ranges (RFC 5737, RFC 3849) count as public, so that an
/// example shows what one gets.
#[must_use]
pub fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(*address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_public_v4(address),
            None => is_public_v6(*address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // RFC 6598: addresses of providers' own networks.
    let shared = first == 100 && (64..128).contains(&second);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240
        || shared)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_name_has_every_address_once_and_ipv4_first() {
        let domain = Domain::new("example.org").unwrap();
        let given = addresses(&["2001:db8::7", "203.0.113.7", "203.0.113.7", "203.0.113.8"]);
        let lines = |form| -> Vec<String> {
            let records = records(&domain, &given, form);
            records.iter().map(ToString::to_string).collect()
        };
        let individual = lines(Form::Individual);
        assert_eq!(individual.len(), 9);
        assert_eq!(individual[0], "hub.example.org.  A  203.0.113.7");
        assert_eq!(individual[2], "hub.example.org.  AAAA  2001:db8::7");
        assert_eq!(
            individual[8],
            "unsecure.bootstrap.example.org.  AAAA  2001:db8::7"
        );
        assert_eq!(
            lines(Form::Wildcard),
            [
                "*.example.org.  A  203.0.113.7",
                "*.example.org.  A  203.0.113.8",
                "*.example.org.  AAAA  2001:db8::7"
            ]
        );
    }

    #[test]
    fn addresses_that_are_not_of_the_internet_are_known() {
        for public in addresses(&["203.0.113.7", "8.8.8.8", "2001:db8::1", "2a01::1"]) {
            assert!(is_public(&public), "{public}");
        }
        let private = [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.3.4",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ];
        for private in addresses(&private) {
            assert!(!is_public(&private), "{private}");
        }
    }
}
