//! Secrets that do not show themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret text, such as a password. `Debug` and `Display` print `***`; it serializes as it is,
/// for it has to be written into configuration somewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `url` with the password (or all of the user information, where there is no user name) between
/// `//` and `@` replaced by `***`.
///
/// ```
/// use bcm_core::redact::url;
/// assert_eq!(url("zdb://:pw@host:9900/default"), "zdb://***@host:9900/default");
/// assert_eq!(url("https://me:pw@host/x@y"), "https://me:***@host/x@y");
/// assert_eq!(url("https://host/"), "https://host/");
/// ```
#[must_use]
pub fn url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else {
        return url.to_owned();
    };
    let user = match rest[..at].split_once(':') {
        Some((user, _)) if !user.is_empty() => format!("{user}:"),
        _ => String::new(),
    };
    format!("{scheme}://{user}***{}", &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_hides() {
        let secret = Secret::new("pw");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.reveal(), "pw");
    }

    #[test]
    fn a_password_with_an_at_sign_hides() {
        assert_eq!(url("zdb://u:p@w@h/ns"), "zdb://u:***@h/ns");
    }
}
