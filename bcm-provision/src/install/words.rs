//! Words that answers are made of, checked where they enter: none can end a line or a quote.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use url::Url;

/// A text is not what an answer takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {takes}")]
pub struct InvalidWord {
    text: String,
    what: &'static str,
    takes: &'static str,
}

/// A type of one text, what it is, what it takes, and the check.
macro_rules! word {
    ($(#[$about:meta])* $name:ident, $what:literal, $takes:literal, $fits:expr) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = InvalidWord;

            fn from_str(text: &str) -> Result<Self, InvalidWord> {
                let fits: fn(&str) -> bool = $fits;
                match fits(text) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(InvalidWord {
                        text: text.to_owned(),
                        what: $what,
                        takes: $takes,
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// A machine's name without its domain: one label of RFC 1123.
    Hostname,
    "name for a machine",
    "it takes 1 to 63 small letters, digits and `-`, begins and ends with none of the latter, and has no domain",
    |text| is_between(text, 63, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        // Such a name would be read as an address.
        && !text.chars().all(|c| c.is_ascii_digit())
);

word!(
    /// A locale of glibc: `en_US.UTF-8`, `C.UTF-8`. Other encodings than UTF-8 are not taken.
    Locale,
    "locale",
    "it is LANGUAGE_COUNTRY.UTF-8, such as en_US.UTF-8, or C.UTF-8",
    |text| text.strip_suffix(".UTF-8").is_some_and(|name| {
        is_between(name, 32, |c| c.is_ascii_alphanumeric() || "_@".contains(c))
    })
);

word!(
    /// A time zone as the tz database names it: `Etc/UTC`, `Europe/Vienna`.
    Timezone,
    "time zone",
    "it is a name of the tz database, such as Etc/UTC or Europe/Vienna",
    |text| text.split('/').all(|part| {
        is_between(part, 32, |c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    })
);

word!(
    /// A keyboard's layout as XKB names it: `us`, `de`.
    Keyboard,
    "keyboard layout",
    "it is a name of XKB's, such as us, gb or de",
    |text| is_between(text, 16, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
);

fn is_between(text: &str, longest: usize, fits: fn(char) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(fits)
}

impl Default for Locale {
    /// `en_US.UTF-8`.
    fn default() -> Self {
        Self("en_US.UTF-8".to_owned())
    }
}

impl Default for Timezone {
    /// `Etc/UTC`.
    fn default() -> Self {
        Self("Etc/UTC".to_owned())
    }
}

impl Default for Keyboard {
    /// `us`.
    fn default() -> Self {
        Self("us".to_owned())
    }
}

/// The address of a mirror or a proxy: `http://HOST[:PORT][/PATH]`, or `https://`. It has no name and no
/// password, which would stay on the machine where everybody there can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress(Url);

/// A text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// It has a name or a password.
    #[error("the address has a password, which everybody on the machine could read")]
    Password,
    /// It is something else.
    #[error("it is no address of the form http://HOST[:PORT]/PATH")]
    Form,
}

impl FromStr for WebAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let url = Url::parse(text).map_err(|_| InvalidAddress::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidAddress::Password);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]+".contains(c);
        let fits = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.as_str().chars().all(plain);
        match fits {
            true => Ok(Self(url)),
            false => Err(InvalidAddress::Form),
        }
    }
}

impl WebAddress {
    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// `HOST` or `HOST:PORT`.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path, without a `/` at its end unless it is nothing else.
    pub(super) fn path(&self) -> &str {
        match self.0.path().trim_end_matches('/') {
            "" => "/",
            path => path,
        }
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_are_labels() {
        for good in ["node1", "a", "3com", &"x".repeat(63)] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for wrong in [
            "",
            "-a",
            "a-",
            "a_b",
            "Node1",
            "a.example.org",
            "a b",
            "a'b",
            "a\nb",
            "127",
            "ä",
            &"x".repeat(64),
        ] {
            let error = wrong.parse::<Hostname>().unwrap_err();
            assert!(
                error.to_string().contains("no name for a machine"),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_that_ends_a_line_or_a_quote_is_a_word() {
        assert!("de_AT.UTF-8".parse::<Locale>().is_ok());
        assert!("C.UTF-8".parse::<Locale>().is_ok());
        assert!("America/Argentina/Buenos_Aires".parse::<Timezone>().is_ok());
        assert!("Etc/GMT+3".parse::<Timezone>().is_ok());
        assert!("latam".parse::<Keyboard>().is_ok());
        for wrong in ["", "a'b", "a\"b", "a\nb", "a b", "../x", "a\\", "$(x)", "/"] {
            assert!(wrong.parse::<Locale>().is_err(), "{wrong}");
            assert!(
                format!("{wrong}.UTF-8").parse::<Locale>().is_err(),
                "{wrong}"
            );
            assert!(wrong.parse::<Timezone>().is_err(), "{wrong}");
            assert!(wrong.parse::<Keyboard>().is_err(), "{wrong}");
            let address = format!("http://mirror.example/{wrong}'");
            assert!(address.parse::<WebAddress>().is_err(), "{address}");
        }
        assert!("de_AT.ISO-8859-1".parse::<Locale>().is_err());
    }

    #[test]
    fn addresses_come_apart() {
        let parts = |text: &str| {
            let address: WebAddress = text.parse().unwrap();
            (address.host(), address.path().to_owned())
        };
        let expected = |host: &str, path: &str| (host.to_owned(), path.to_owned());
        assert_eq!(
            parts("http://mirror.example"),
            expected("mirror.example", "/")
        );
        assert_eq!(
            parts("https://mirror.example:8080/debian/"),
            expected("mirror.example:8080", "/debian")
        );
        assert_eq!(
            parts("http://[2001:db8::1]/x"),
            expected("[2001:db8::1]", "/x")
        );
        let error = "http://me:secret@proxy.example/"
            .parse::<WebAddress>()
            .unwrap_err();
        assert_eq!(error, InvalidAddress::Password);
        for wrong in [
            "",
            "mirror.example",
            "ftp://mirror.example",
            "http://a/?b",
            "http://a/#b",
            "file:///a",
        ] {
            assert_eq!(
                wrong.parse::<WebAddress>(),
                Err(InvalidAddress::Form),
                "{wrong}"
            );
        }
    }
}
