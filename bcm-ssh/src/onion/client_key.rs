//! Keys by which clients of onion services are authorised.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use super::OnionAddress;

/// The secret half of an x25519 key pair that opens an onion service. It shows itself nowhere but in
/// [`ClientKey::reveal`], and its memory is overwritten when it is dropped.
///
/// The texts are those of Tor's rend-spec-v3, appendix G: 52 letters and digits of base32.
#[derive(Clone)]
pub struct ClientKey(StaticSecret);

/// The half that the service is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPublicKey(String);

/// A text is no such key. It does not say which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no client's key of an onion service: 52 letters A–Z and digits 2–7")]
pub struct InvalidClientKey;

impl ClientKey {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(std::io::Error::from)?;
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// What the service is given.
    #[must_use]
    pub fn public(&self) -> ClientPublicKey {
        ClientPublicKey(BASE32_NOPAD.encode(PublicKey::from(&self.0).as_bytes()))
    }

    /// The key itself, for the one place that hands it to its owner.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.as_bytes()))
    }

    /// The line of a file `….auth_private` in a Tor's `ClientOnionAuthDir`.
    #[must_use]
    pub fn auth_private(&self, address: &OnionAddress) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{}:descriptor:x25519:{}\n",
            address.service(),
            *self.reveal()
        ))
    }
}

impl FromStr for ClientKey {
    type Err = InvalidClientKey;

    /// Reads the bare key, or a line of a file `….auth_private`.
    fn from_str(text: &str) -> Result<Self, InvalidClientKey> {
        let text = text.trim();
        let key = match text.rsplit_once(':') {
            Some((before, key)) if before.ends_with("descriptor:x25519") => key,
            Some(_) => return Err(InvalidClientKey),
            None => text,
        };
        let upper = Zeroizing::new(key.to_ascii_uppercase());
        let mut decoded = BASE32_NOPAD
            .decode(upper.as_bytes())
            .map_err(|_| InvalidClientKey)?;
        let bytes = <[u8; 32]>::try_from(decoded.as_slice()).map(Zeroizing::new);
        decoded.zeroize();
        bytes
            .map(|bytes| Self(StaticSecret::from(*bytes)))
            .map_err(|_| InvalidClientKey)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(***)")
    }
}

impl fmt::Display for ClientPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7748, section 6.1: Alice's keys.
    const SECRET: &str = "O4DW2CTTDCST2FTSYFPTYFVGMZC7OURXQ6ZBOJNZUUJG5X6Z2EVA";

    #[test]
    fn the_public_half_is_that_of_the_standard() {
        let bytes = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ];
        let key: ClientKey = BASE32_NOPAD.encode(&bytes).parse().unwrap();
        assert_eq!(key.public().to_string(), BASE32_NOPAD.encode(&public));
        assert_eq!(*key.reveal(), BASE32_NOPAD.encode(&bytes));
    }

    #[test]
    fn a_key_is_read_back_and_shows_itself_to_nobody() {
        let key = ClientKey::generate().unwrap();
        let secret = key.reveal();
        let address: OnionAddress =
            "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
                .parse()
                .unwrap();
        let again: ClientKey = key.auth_private(&address).parse().unwrap();
        assert_eq!(again.public(), key.public());
        let again: ClientKey = format!(" {}\n", secret.to_lowercase()).parse().unwrap();
        assert_eq!(again.public(), key.public());
        assert!(!format!("{key:?}").contains(&*secret));
        assert_ne!(ClientKey::generate().unwrap().public(), key.public());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in [
            "",
            "secret",
            &format!("{SECRET}A"),
            &SECRET[1..],
            &format!("x:{SECRET}"),
        ] {
            let error = text.parse::<ClientKey>().unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }
}
