//! Who may log in to a machine: names of users, and public keys as `authorized_keys` has them.

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

/// The name of a user, as Debian's `useradd` takes it: a letter or `_`, then letters, digits, `_`
/// and `-`, at most 32, all small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

/// A text is no name of a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for a user: it takes small letters, digits, `_` and `-`, 32 at most, and begins with a letter; root has no need of this"
)]
pub struct InvalidUser(String);

impl Default for UserName {
    /// `bcm`.
    fn default() -> Self {
        Self("bcm".to_owned())
    }
}

impl FromStr for UserName {
    type Err = InvalidUser;

    fn from_str(text: &str) -> Result<Self, InvalidUser> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let rest = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        match first && rest && text.len() <= 32 && text != "root" {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidUser(text.to_owned())),
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home";

    #[test]
    fn keys_are_lines_that_need_no_quotes() {
        let key: PublicKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        let hostile: PublicKey = format!("{KEY}' $(reboot); \"x\"").parse().unwrap();
        assert_eq!(hostile.to_string(), format!("{KEY} reboot x"));
        for wrong in [
            "",
            "ssh-ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "command=\"x\" ssh-ed25519 AAAA",
            "ssh-ed25519 BBBBC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd",
            &format!("{KEY}\n{KEY}"),
            &format!("ssh-'; {KEY}"),
        ] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_users_are_what_useradd_takes() {
        assert!("bcm".parse::<UserName>().is_ok());
        for wrong in [
            "",
            "root",
            "Bcm",
            "1bcm",
            "b c",
            "b'c",
            "-b",
            &"b".repeat(33),
        ] {
            assert!(wrong.parse::<UserName>().is_err(), "{wrong}");
        }
    }
}
