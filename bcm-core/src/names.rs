//! Names that are safe to use as one component of a path.
//!
//! Upstream names repositories, flists and tags; those names become file names here. A value of
//! one of these types has passed [`check`], so joining it to a folder stays inside that folder.
//!
//! ```
//! use bcm_core::names::{EntryName, RepoName};
//!
//! assert!(RepoName::new("tf-official-apps").is_ok());
//! assert!(RepoName::new("..").is_err());
//! assert!(EntryName::new("bootstrap:latest.flist").is_ok());
//! assert!(EntryName::new("../../etc/passwd").is_err());
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest file name that Linux file systems take, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Start of the folder name that a hub keeps a tag in (`.tag-NAME`); no other name may have it.
pub const TAG_PREFIX: &str = ".tag-";

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The name is longer than a file name can be.
    #[error("the name has {0} bytes; a file name has at most {max}", max = MAX_NAME_BYTES)]
    TooLong(usize),
    /// The name is `.` or `..`.
    #[error("{0:?} means a folder, not an entry")]
    Dots(String),
    /// The name has a character that a file name cannot have, or that would garble a terminal.
    #[error("{name:?} contains {character:?}")]
    Forbidden {
        /// The name as it came.
        name: String,
        /// The first character that is refused.
        character: char,
    },
    /// The name starts with `.tag-`, which only tags' own folders do.
    #[error("{0:?} starts with {prefix:?}, which is kept for tags", prefix = TAG_PREFIX)]
    ReservedPrefix(String),
}

/// Checks that `name` is one safe path component: 1–255 bytes, not `.` or `..`, no `/`, no NUL or
/// other control character, and not starting with `.tag-`.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots(name.to_owned()));
    }
    if let Some(character) = name.chars().find(|c| *c == '/' || c.is_control()) {
        return Err(NameError::Forbidden {
            name: name.to_owned(),
            character,
        });
    }
    if name.starts_with(TAG_PREFIX) {
        return Err(NameError::ReservedPrefix(name.to_owned()));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $extra_bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// Takes `name` if it is safe.
            ///
            /// # Errors
            /// The rule of [`check`] that the name breaks.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                check(name)?;
                if name.len() + $extra_bytes > MAX_NAME_BYTES {
                    return Err(NameError::TooLong(name.len() + $extra_bytes));
                }
                Ok(Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<std::path::Path> for $type {
            fn as_ref(&self) -> &std::path::Path {
                std::path::Path::new(&*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.into()
            }
        }
    };
}

name_type!(
    /// A repository of a hub: a user's or an organisation's folder, such as `tf-official-apps`.
    RepoName,
    0
);
name_type!(
    /// An entry of a repository or of a tag: an flist, a link, or a link to a tag.
    EntryName,
    0
);
name_type!(
    /// A tag, without the `.tag-` that its folder's name starts with.
    TagName,
    TAG_PREFIX.len()
);
name_type!(
    /// A kernel file of a bootstrap server, such as `zero-os-production-v3.14.efi`.
    KernelName,
    0
);

impl TagName {
    /// The name of the folder that a hub keeps this tag in: `.tag-NAME`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{TAG_PREFIX}{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn upstream_style_names_pass() {
        for name in [
            "alice.3bot",
            "bootstrap:latest.flist",
            "with space+plus_x.flist",
            "Ünïcode – 文件.flist",
            "...",
            ".hidden",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/abs",
            "nul\0",
            "esc\x1b[2J",
            "new\nline",
            ".tag-x",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check(&"x".repeat(255)).is_ok());
        assert!(check(&"x".repeat(256)).is_err());
        assert!(TagName::new("x".repeat(250)).is_ok());
        assert!(TagName::new("x".repeat(251)).is_err());
    }

    #[test]
    fn a_bad_name_does_not_deserialize() {
        let name: Result<RepoName, _> =
            serde::Deserialize::deserialize(serde::de::value::StrDeserializer::<
                serde::de::value::Error,
            >::new(".."));
        assert!(name.is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_normal_component(name in "\\PC{0,40}|[./\\x00a]{0,6}") {
            if check(&name).is_ok() {
                let path = std::path::Path::new("/base").join(&name);
                prop_assert_eq!(path.components().count(), 3);
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/base")));
            }
        }
    }
}
