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

/// `text` with the user information of every URL in it replaced by `***`: for text that was not taken
/// apart, such as a line of a file with a mistake in it. Hides too much rather than too little.
///
/// ```
/// use bcm_core::redact::text;
/// assert_eq!(text("a = 'zdb://:p@w@h:x', b = \"http://h/\""), "a = 'zdb://***@h:x', b = \"http://h/\"");
/// ```
#[must_use]
pub fn text(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("://") {
        let (before, after) = rest.split_at(begin + 3);
        hidden.push_str(before);
        let ends = |c: char| c.is_whitespace() || "\"'`<>,".contains(c);
        let end = after.find(ends).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                hidden.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    hidden + rest
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
    fn every_password_of_a_text_hides() {
        let two = "x=\"00-7f=zdb://:one@a:b\" y=http://u:t/w@o@h/ z=zdb://h:1/ns";
        let hidden = "x=\"00-7f=zdb://***@a:b\" y=http://***@h/ z=zdb://h:1/ns";
        assert_eq!(text(two), hidden);
        assert_eq!(text("no url, me@there"), "no url, me@there");
        assert_eq!(text("://"), "://");
    }

    #[test]
    fn a_password_with_an_at_sign_hides() {
        assert_eq!(url("zdb://u:p@w@h/ns"), "zdb://u:***@h/ns");
    }
}
