//! The words that a boot script is made of: checked, so that none of them can become a command.
//!
//! iPXE splits a line at blanks, knows both quotes, `\`, `#`, `&&`, `||`, `;` and replaces `${…}`
//! (its `expand_command` and `split_command`). None of those characters gets into a script from outside:
//! each type here names the characters that it takes, and refuses the rest.

use std::fmt;

/// The longest farm id.
const MAX_FARM: usize = 64;
/// The longest list of extra arguments. Linux's whole command line has 2,048 bytes on x86.
const MAX_EXTRA: usize = 1024;
/// The longest URL of a server.
const MAX_URL: usize = 300;
/// What stands for `/` in the extra arguments of a path.
const SLASH: &str = "___";

/// Why something cannot be a word of a boot script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordError {
    /// There is nothing.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// It is too long.
    #[error("{bytes} bytes are too many for {what}; at most {most} are taken")]
    TooLong {
        /// What it was to be.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// It has a character that is not taken.
    #[error("{character:?} is not taken in {what}")]
    Character {
        /// What it was to be.
        what: &'static str,
        /// The first one.
        character: char,
    },
    /// It is not the address of a server.
    #[error("{0:?} is not the address of a server, such as http://boot.example.org")]
    Server(String),
}

fn check(
    what: &'static str,
    text: &str,
    most: usize,
    legal: impl Fn(char) -> bool,
) -> Result<(), WordError> {
    if text.len() > most {
        let bytes = text.len();
        return Err(WordError::TooLong { what, bytes, most });
    }
    match text.chars().find(|c| !legal(*c)) {
        Some(character) => Err(WordError::Character { what, character }),
        None => Ok(()),
    }
}

macro_rules! word_type {
    ($type:ident) => {
        impl $type {
            /// The text as it is in a script.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = WordError;
            fn from_str(text: &str) -> Result<Self, WordError> {
                Self::new(text)
            }
        }
    };
}

/// The id of a farm: letters, digits, `.`, `_` and `-`, at most 64. Today's nodes want a number; that
/// is theirs to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FarmId(Box<str>);
word_type!(FarmId);

impl FarmId {
    /// Takes `text` if it is one.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, WordError> {
        const WHAT: &str = "the farm id";
        if text.is_empty() {
            return Err(WordError::Empty(WHAT));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        check(WHAT, text, MAX_FARM, legal)?;
        Ok(Self(text.into()))
    }
}

/// Arguments for the kernel, beside those that every node gets: words of letters, digits and any of
/// `-_.,:/=+@%~[]*`, with one space between them, at most 1,024 bytes. May be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExtraArguments(Box<str>);
word_type!(ExtraArguments);

impl ExtraArguments {
    /// Takes `text` as it is to be on the kernel's command line.
    ///
    /// # Errors
    /// It is too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, WordError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || " -_.,:/=+@%~[]*".contains(c);
        check("the extra arguments", text, MAX_EXTRA, legal)?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        Ok(Self(words.join(" ").into()))
    }

    /// Takes the decoded segment of a path, in which `___` stands for `/`.
    ///
    /// # Errors
    /// As [`ExtraArguments::new`].
    pub fn of_segment(segment: &str) -> Result<Self, WordError> {
        Self::new(&segment.replace(SLASH, "/"))
    }

    /// The segment of a path that stands for this; not yet percent-encoded.
    #[must_use]
    pub fn to_segment(&self) -> String {
        self.0.replace('/', SLASH)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where a script finds its server: `http://HOST[:PORT]` or `https://…`, without a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl(Box<str>);
word_type!(ServerUrl);

impl ServerUrl {
    /// Takes `text` if it is one; one slash at its end is forgiven.
    ///
    /// # Errors
    /// It is something else, such as a URL with a user, a path or a query.
    pub fn new(text: &str) -> Result<Self, WordError> {
        let wrong = || WordError::Server(text.chars().take(MAX_URL).collect());
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        if !["http", "https"].contains(&scheme) || text.len() > MAX_URL || !is_authority(host) {
            return Err(wrong());
        }
        Ok(Self(text.into()))
    }

    /// Plain HTTP at what a request's `Host` header says; `None` where that is no host.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        Self::new(&format!("http://{host}")).ok()
    }

    /// The host and its port, if it has one.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether a client has to trust a certificate here.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// `HOST[:PORT]` or `[IPV6][:PORT]`.
fn is_authority(text: &str) -> bool {
    let (host_is_right, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        (address.parse::<std::net::Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        (!host.is_empty() && host.chars().all(legal), port)
    };
    let port_is_right = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    host_is_right && port_is_right
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    #[test]
    fn plain_words_are_taken() {
        assert_eq!(FarmId::new("4711").unwrap().as_str(), "4711");
        let extra = ExtraArguments::of_segment("console=ttyS0,115200  zos-debug root=___dev___vda");
        let extra = extra.unwrap();
        assert_eq!(
            extra.as_str(),
            "console=ttyS0,115200 zos-debug root=/dev/vda"
        );
        assert_eq!(ExtraArguments::of_segment(&extra.to_segment()), Ok(extra));
        assert!(ExtraArguments::new(" ").unwrap().is_empty());
        for server in [
            "http://boot.example.org",
            "https://boot.example.org:8443",
            "http://192.0.2.7:80",
            "http://[2001:db8::1]:8080",
        ] {
            assert_eq!(ServerUrl::new(server).unwrap().as_str(), server);
        }
    }

    #[test]
    fn what_could_become_a_command_is_refused() {
        for hostile in [
            "1\nshell",
            "1\rshell",
            "${net0/mac}",
            "$x",
            "1;shell",
            "1 && shell",
            "1||shell",
            "'1",
            "\"1",
            "#1",
            "1\\",
            "1`x`",
            "1\0",
            "ü",
            "1\u{2028}x",
            "1\tx",
            "a|b",
            "<x>",
            "!",
            "{}",
        ] {
            assert!(FarmId::new(hostile).is_err(), "{hostile:?}");
            assert!(ExtraArguments::new(hostile).is_err(), "{hostile:?}");
            assert_eq!(ServerUrl::of_host(hostile), None, "{hostile:?}");
        }
        for farm in ["", "1 2", "a/b", "a=b", &"1".repeat(65)] {
            assert!(FarmId::new(farm).is_err(), "{farm:?}");
        }
        for server in [
            "boot.example.org",
            "ftp://a",
            "http://",
            "http://u:p@a",
            "http://a/b",
            "http://a?b",
            "http://a:",
            "http://a:65536",
            "http://a:1x",
            "http://[::1",
            "http://[x]",
            "http://a b",
        ] {
            assert!(ServerUrl::new(server).is_err(), "{server}");
        }
    }

    #[test]
    fn no_word_has_a_character_that_means_something() {
        let dangerous = [
            '\n', '\r', '\t', '\0', '$', '{', '}', '"', '\'', '\\', '#', '&', '|', ';',
        ];
        let texts = "\\PC{0,40}|[ -~\\n\\t]{0,40}|[a-z0-9._-]{1,9}.{0,1}";
        // How many texts were taken for each of the words.
        let taken = Cell::new([0; 3]);
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let check = |text: String| {
            let words = [
                FarmId::new(&text).ok().map(|word| word.to_string()),
                ExtraArguments::of_segment(&text)
                    .ok()
                    .map(|word| word.to_string()),
                ServerUrl::of_host(&text).map(|word| word.to_string()),
            ];
            let mut counts = taken.get();
            for (word, count) in words.into_iter().zip(&mut counts) {
                let Some(word) = word else {
                    continue;
                };
                *count += 1;
                prop_assert!(word.is_ascii() && !word.contains(dangerous), "{word:?}");
            }
            taken.set(counts);
            Ok(())
        };
        runner.run(&texts, check).unwrap();
        let some = 1..runner.config().cases;
        assert!(
            taken.get().iter().all(|count| some.contains(count)),
            "{taken:?}"
        );
    }
}
