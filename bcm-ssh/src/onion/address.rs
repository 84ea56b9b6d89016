//! Addresses of onion services.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use sha3::{Digest, Sha3_256};

/// The address of an onion service of version 3, `….onion`, its checksum verified: a slip of the
/// finger is noticed before Tor looks for a service that does not exist.
///
/// The format is Tor's rend-spec-v3, section 6: base32 of the public key (32 bytes), a checksum
/// (2 bytes), and the version (3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnionAddress(String);

/// A text is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOnionAddress {
    /// It has not the form of one.
    #[error("{0:?} is not an onion service's address: 56 letters a–z and digits 2–7, then .onion")]
    Form(String),
    /// It has, but is none.
    #[error("{0:?} has a slip in it: its checksum does not fit")]
    Checksum(String),
}

impl OnionAddress {
    /// Without `.onion`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.trim_end_matches(".onion")
    }

    /// With `.onion`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OnionAddress {
    type Err = InvalidOnionAddress;

    fn from_str(text: &str) -> Result<Self, InvalidOnionAddress> {
        let form = || InvalidOnionAddress::Form(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let service = lower.strip_suffix(".onion").unwrap_or(&lower);
        let bytes = BASE32_NOPAD
            .decode(service.to_ascii_uppercase().as_bytes())
            .map_err(|_| form())?;
        // 35 bytes: 56 letters.
        let (Some(key), Some(&[a, b, version])) = (bytes.get(..32), bytes.get(32..)) else {
            return Err(form());
        };
        let mut hash = Sha3_256::new();
        hash.update(b".onion checksum");
        hash.update(key);
        hash.update([version]);
        match (version, &hash.finalize()[..2]) {
            (3, checksum) if checksum == [a, b] => Ok(Self(format!("{service}.onion"))),
            _ => Err(InvalidOnionAddress::Checksum(text.to_owned())),
        }
    }
}

impl fmt::Display for OnionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The address of the Tor Project's own site.
    const TOR: &str = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";

    #[test]
    fn a_real_address_is_taken_in_any_case_and_without_its_end() {
        let address: OnionAddress = TOR.parse().unwrap();
        assert_eq!(address.as_str(), TOR);
        assert_eq!(address, TOR.to_uppercase().parse().unwrap());
        assert_eq!(address, address.service().parse().unwrap());
    }

    #[test]
    fn what_is_none_is_refused() {
        let slip = TOR.replacen('z', "y", 1);
        assert!(matches!(
            slip.parse::<OnionAddress>(),
            Err(InvalidOnionAddress::Checksum(_))
        ));
        for text in [
            "",
            ".onion",
            "expyuzz4wqqyqhjn.onion",
            &format!("www.{TOR}"),
            &format!("{TOR}.onion"),
            &format!("{TOR}\n"),
            "node1",
        ] {
            assert!(
                matches!(
                    text.parse::<OnionAddress>(),
                    Err(InvalidOnionAddress::Form(_))
                ),
                "{text:?}"
            );
        }
    }
}
