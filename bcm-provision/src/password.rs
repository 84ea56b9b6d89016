//! Hashes of passwords, as `/etc/shadow` has them.
//!
//! What a hash looks like is from crypt(5) of libxcrypt, which Debian and Ubuntu use.

use std::fmt;
use std::str::FromStr;

/// A password's hash by a method that is still slow to guess: yescrypt, gost-yescrypt, scrypt, bcrypt,
/// SHA-512 or SHA-256. It has no character that YAML within quotes, a preseed file or a shell within single quotes
/// would read as anything else, and shows itself only to [`PasswordHash::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A text is no hash of a password that can be used. It is not repeated: it may be the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHash {
    /// There is nothing.
    #[error("there is no hash of a password; {HOW}")]
    Empty,
    /// It looks like no hash.
    #[error(
        "this is no hash of a password, it may be the password itself, which has no place here; {HOW}"
    )]
    Clear,
    /// The method is guessed too fast.
    #[error("the hash is by {method}, which is guessed too fast; {HOW}")]
    Weak {
        /// Its name.
        method: &'static str,
    },
    /// A part is missing, or has a character that is not in such a hash.
    #[error("the hash begins like one by {method}, but is not whole; {HOW}")]
    Damaged {
        /// Its name.
        method: &'static str,
    },
}

/// How a hash is made.
const HOW: &str = "`mkpasswd` (of the package whois) or `openssl passwd -6` asks for a password and shows its hash";

/// Prefix, name, and the length of the last part.
const METHODS: [(&str, &str, usize); 6] = [
    ("$y$", "yescrypt", 43),
    ("$gy$", "gost-yescrypt", 43),
    ("$7$", "scrypt", 43),
    ("$6$", "SHA-512", 86),
    ("$5$", "SHA-256", 43),
    ("$2", "bcrypt", 53),
];

/// Prefixes of methods that are refused.
const WEAK: [(&str, &str); 5] = [
    ("$1$", "MD5"),
    ("$md5", "MD5"),
    ("$sha1$", "SHA-1"),
    ("$3$", "NT's MD4"),
    ("_", "extended DES"),
];

impl PasswordHash {
    /// The hash itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidHash;

    /// Takes one line; what surrounds it is cut off.
    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidHash::Empty);
        }
        if let Some((_, method, last)) =
            METHODS.iter().find(|(prefix, ..)| text.starts_with(prefix))
        {
            let whole = match *method {
                "bcrypt" => is_bcrypt(text),
                "SHA-512" | "SHA-256" => is_sha_crypt(text, *last),
                // $7$ has parameters and salt in one part, $y$ and $gy$ have them in two.
                "scrypt" => is_parts(text, 1, *last),
                _ => is_parts(text, 2, *last),
            };
            return match whole {
                true => Ok(Self(text.to_owned())),
                false => Err(InvalidHash::Damaged { method }),
            };
        }
        if let Some((_, method)) = WEAK
            .iter()
            .find(|(prefix, _)| text.starts_with(prefix) && (*prefix != "_" || text.len() == 20))
        {
            return Err(InvalidHash::Weak { method });
        }
        match text.len() == 13 && text.chars().all(is_letter) {
            // It may as well be a password of thirteen letters.
            true => Err(InvalidHash::Weak { method: "DES" }),
            false => Err(InvalidHash::Clear),
        }
    }
}

/// A character of what such hashes are written in.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '/'
}

fn are_letters(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(is_letter)
}

/// `$2b$COST$` and salt and hash in one part. `$2x$` marks hashes of a broken implementation.
fn is_bcrypt(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    match parts[..] {
        ["", "2a" | "2b" | "2y", cost, rest] => {
            matches!(cost.parse(), Ok(4..=31)) && cost.len() == 2 && are_letters(rest, 53)
        }
        _ => false,
    }
}

/// `$6$`, perhaps `rounds=N$`, `SALT$HASH`.
fn is_sha_crypt(text: &str, last: usize) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    let (salt, hash) = match parts[..] {
        ["", _, salt, hash] => (salt, hash),
        ["", _, rounds, salt, hash]
            if rounds
                .strip_prefix("rounds=")
                .is_some_and(|rounds| matches!(rounds.parse(), Ok(1_000..=999_999_999))) =>
        {
            (salt, hash)
        }
        _ => return false,
    };
    (1..=16).contains(&salt.len()) && salt.chars().all(is_letter) && are_letters(hash, last)
}

/// The prefix, so many parts of letters, and the hash.
fn is_parts(text: &str, parts: usize, last: usize) -> bool {
    let found: Vec<&str> = text.split('$').skip(2).collect();
    match found.split_last() {
        Some((hash, rest)) => {
            rest.len() == parts
                && rest
                    .iter()
                    .all(|part| part.len() <= 97 && part.chars().all(is_letter))
                && !rest[0].is_empty()
                && are_letters(hash, last)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made of the password `secret` by `mkpasswd` and by `openssl passwd`.
    const GOOD: [&str; 8] = [
        "$y$j9T$wbJMIPplXZ9u48fAjSeGo.$tdauLn57HuwJXTaf90FgEFNDNB9Jsuo0zR8lHfESXMD",
        "$gy$j9T$gJxBJRb72lvaK30ob8Adj0$Knx3FIRE.sOu8E2RIRAkJWWeCQnK92UIHLeKUoGWux5",
        "$7$CU..../....XhXL.nDLwKtC/Quo89Fy30$7G7bWV6nyNfdU.6R1XsLsk4MJ8/uoV9C95IOnHCXBp3",
        "$2b$05$XsvoBFi7B.XIR4H/EOTglO4XNVbyPcCFHrj.OWyV2nyxLm2dmAmBm",
        "$6$1Z7MQS2O48Pw2Nzd$9ivr/SH3eaxmihLCT8PGWfSTVcr1Kb.0a0RGEuJR8UiazG4q0wZjMSpv9llJDbI5HO39bKbf6MvPmfbV9BYEZ1",
        "$5$f4L33owL2ZEIWKOb$r7M36he5kUPtk8YNPP4U.PzUoSYpczkSEfFwAG6uy84",
        "$6$ylrH9V9Miw8KvtqP$SBQitw9IsY0V5zcfPOSaV2dlcpHYPTPOGHgOIyeJ99tHInd1P78GB8n2QolQ72srOCEVZFnZ/gH0kkwsuhh/0.",
        "$6$t5BNjhnpj6QjryAf$HXYZoqhRsxmd.aEbQpVgbxBZwC7j9/2qO/6erquwL7z7862vjc.ZdnxPQNyD02YYXFw1mc1uop7Wtw85vgewO0",
    ];

    #[test]
    fn what_programs_make_is_taken() {
        for good in GOOD {
            let hash: PasswordHash = format!(" {good}\n").parse().unwrap();
            assert_eq!(hash.reveal(), good);
            assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
        }
    }

    #[test]
    fn what_is_weak_is_named() {
        for (weak, method) in [
            ("$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", "MD5"),
            ("ab01FAX.bQRSU", "DES"),
            ("_J9..K0AyUubRkQ1cPQ0", "extended DES"),
            ("$3$$8846f7eaee8fb117ad06bdd830b7586c", "NT's MD4"),
            ("$sha1$40000$jtNX3nZ2$hBNaIXkt4wBI2o5rsi8KejSjNqIq", "SHA-1"),
        ] {
            let error = weak.parse::<PasswordHash>().unwrap_err();
            assert_eq!(error, InvalidHash::Weak { method }, "{weak}");
            assert!(error.to_string().contains("openssl passwd -6"), "{error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        assert_eq!("\n".parse::<PasswordHash>(), Err(InvalidHash::Empty));
        for clear in [
            "secret",
            "correct horse battery staple",
            "!",
            "*",
            "$9$x$y",
            "$",
        ] {
            let error = clear.parse::<PasswordHash>().unwrap_err();
            assert_eq!(error, InvalidHash::Clear, "{clear}");
            assert!(!error.to_string().contains("horse"), "{error}");
        }
    }

    #[test]
    fn what_is_damaged_or_would_end_a_quote_is_refused() {
        for good in GOOD {
            let cut = &good[..good.len() - 1];
            let (two, quote) = (format!("{good}\n{good}"), format!("{cut}'"));
            for wrong in [cut, &two, &quote, &format!("{good}$"), &format!("{good} x")] {
                let error = wrong.parse::<PasswordHash>().unwrap_err();
                assert!(matches!(error, InvalidHash::Damaged { .. }), "{wrong}");
            }
        }
        for wrong in [
            "$2x$10$",
            "$6$rounds=1$a$b",
            "$6$$b",
            "$6$",
            "$y$",
            "$2",
            "$7$",
        ] {
            assert!(wrong.parse::<PasswordHash>().is_err(), "{wrong}");
        }
    }
}
