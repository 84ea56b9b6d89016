//! Public keys, as `authorized_keys` has them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A public key of OpenSSH: a type, the key in base64, and perhaps a comment. It holds no character
/// that a shell or `authorized_keys` would read as anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PublicKey(String);

/// A text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It is the secret half.
    #[error("this is a private key; give the file that ends in .pub")]
    Private,
    /// It is something else.
    #[error(
        "this is no public key of OpenSSH; such a key is one line, `ssh-ed25519 AAAA… comment`"
    )]
    NotAKey,
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.contains("PRIVATE KEY") {
            return Err(InvalidKey::Private);
        }
        let mut words = text.split_whitespace();
        let (Some(kind), Some(key)) = (words.next(), words.next()) else {
            return Err(InvalidKey::NotAKey);
        };
        let is_kind = ["ssh-", "ecdsa-sha2-", "sk-"]
            .iter()
            .any(|prefix| kind.starts_with(prefix))
            && kind
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-@.".contains(c));
        // The key begins with the length of its own type: every key's first letters are these.
        let is_key = key.starts_with("AAAA")
            && key.len() >= 64
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
        if !is_kind || !is_key || text.trim().lines().count() != 1 {
            return Err(InvalidKey::NotAKey);
        }
        let comment: String = words
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .filter(|c| c.is_alphanumeric() || "@._- ".contains(*c))
            .collect();
        Ok(Self(
            format!("{kind} {key} {comment}").trim_end().to_owned(),
        ))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
