//! Which store keeps which keys: `00-7f=zdb://a:9900`.

use std::fmt;
use std::str::FromStr;

use crate::block::BlockKey;
use crate::zdb::ZdbAddress;

/// A range of keys by their first byte, both ends included: `00-7f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first byte of the first keys.
    pub first: u8,
    /// The first byte of the last keys.
    pub last: u8,
}

impl KeyRange {
    /// All keys.
    pub const ALL: Self = Self {
        first: 0,
        last: u8::MAX,
    };

    /// The ranges beside it.
    pub(super) fn outside(self) -> impl Iterator<Item = Self> {
        let before = self
            .first
            .checked_sub(1)
            .map(|last| Self { first: 0, last });
        let after = self.last.checked_add(1).map(|first| Self {
            first,
            last: u8::MAX,
        });
        before.into_iter().chain(after)
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &BlockKey) -> bool {
        let first = key.as_bytes().first().copied().unwrap_or_default();
        (self.first..=self.last).contains(&first)
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}-{:02x}", self.first, self.last)
    }
}

/// A 0-db and the keys that it keeps.
///
/// ```
/// use bcm_hub_sync::store::routed::Route;
///
/// let route: Route = "80-ff=zdb://b.example.org:9900/blocks".parse().unwrap();
/// assert_eq!((route.range.first, route.range.last), (0x80, 0xff));
/// assert_eq!("zdb://a".parse::<Route>().unwrap().range.to_string(), "00-ff");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The keys.
    pub range: KeyRange,
    /// Where they are kept.
    pub address: ZdbAddress,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.range, self.address)
    }
}

/// Text that is not a route. It never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not of the form [00-ff=]zdb://[:PASSWORD@]HOST[:PORT][/NAMESPACE]: {reason}")]
pub struct InvalidRoute {
    text: String,
    reason: String,
}

impl FromStr for Route {
    type Err = InvalidRoute;
    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let (range, address) = match text.split_once("=zdb://") {
            Some((range, _)) => (range, &text[range.len() + 1..]),
            None => ("00-ff", text),
        };
        let invalid = |reason: String| InvalidRoute {
            text: match text.split_once("://") {
                // What follows may hold a password.
                Some((scheme, _)) => format!("{scheme}://…").chars().take(60).collect(),
                None => text.chars().take(60).collect(),
            },
            reason,
        };
        let byte = |digits: &str| match bcm_core::digest::from_hex(digits).as_deref() {
            Some([byte]) => Some(*byte),
            _ => None,
        };
        let ends = range.split_once('-');
        let range = ends
            .and_then(|(first, last)| {
                Some(KeyRange {
                    first: byte(first)?,
                    last: byte(last)?,
                })
            })
            .filter(|range| range.first <= range.last)
            .ok_or_else(|| invalid(format!("{range:?} is not a range such as 00-7f")))?;
        let address = address
            .parse::<ZdbAddress>()
            .map_err(|error| invalid(error.to_string()))?;
        Ok(Self { range, address })
    }
}

/// The keys that none of `ranges` has; the first such range.
pub(super) fn gap(ranges: &[KeyRange]) -> Option<KeyRange> {
    let is_free = |byte: &u8| !ranges.iter().any(|r| (r.first..=r.last).contains(byte));
    let first = (0..=u8::MAX).find(is_free)?;
    let last = (first..=u8::MAX).take_while(is_free).last()?;
    Some(KeyRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_shown_without_their_password() {
        let route: Route = "00-7F=zdb://:s=cret@a:1/ns".parse().unwrap();
        assert_eq!(route.to_string(), "00-7f=zdb://:***@a:1/ns");
        assert_eq!(route.address.password().unwrap().reveal(), "s=cret");
        assert!(route.range.contains(&BlockKey::Short([0x7f; 16])));
        assert!(!route.range.contains(&BlockKey::Short([0x80; 16])));
        for wrong in [
            "",
            "a",
            "00-7f",
            "00-7f=",
            "7f-00=zdb://a",
            "0-7f=zdb://a",
            "00-100=zdb://a",
            "00=zdb://a",
            "+0-7f=zdb://a",
            "00-7f=http://a",
            "00-7f=zdb://:secret@",
        ] {
            let error = wrong.parse::<Route>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn gaps_are_found() {
        let ranges = |texts: &[&str]| -> Vec<KeyRange> {
            let route = |text: &&str| format!("{text}=zdb://a").parse::<Route>().unwrap().range;
            texts.iter().map(route).collect()
        };
        assert_eq!(gap(&ranges(&["00-ff"])), None);
        assert_eq!(gap(&ranges(&["80-ff", "00-7f"])), None);
        assert_eq!(gap(&ranges(&["00-a0", "90-ff"])), None);
        let found = gap(&ranges(&["00-7e", "90-ff"])).unwrap();
        assert_eq!(found.to_string(), "7f-8f");
        assert_eq!(gap(&[]), Some(KeyRange::ALL));
    }
}
