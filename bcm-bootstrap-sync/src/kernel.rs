//! Names of kernels.

use std::fmt;

use bcm_core::digest::Sha256;
use bcm_core::names;
use serde::{Deserialize, Serialize};

use crate::run_mode::RunMode;

/// The folder of the links of run modes, among the kernels, which no kernel is named after.
pub const LINKS: &str = "net";

/// The longest name, in bytes: what is kept of a download under way has a longer one.
const LONGEST: usize = 200;

/// Why a name cannot be that of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelNameError {
    /// It is not even a file name.
    #[error(transparent)]
    Name(#[from] names::NameError),
    /// A file system would take it, but not with what is appended to it here.
    #[error("{0:?} is longer than {LONGEST} bytes")]
    TooLong(String),
    /// It means something else.
    #[error("{0:?} is kept for something else")]
    Reserved(String),
    /// It has a character that a URL in a boot script cannot have as it is.
    #[error("{name:?} contains {character:?}")]
    Character {
        /// The name as it came.
        name: String,
        /// The first character that is refused.
        character: char,
    },
}

/// The name of a kernel, such as `zero-os-development-zos-v3-generic-7f1a2c.efi`.
///
/// It is used as a file name, in URLs and in boot scripts, so it has ASCII letters, digits and
/// `.`, `_`, `-`, `+`, `~`, `@`, `=`, `,`, `:` only, at most 200, and begins with a letter or a digit.
///
/// ```
/// use bcm_bootstrap_sync::kernel::KernelName;
/// assert!(KernelName::new("zero-os-production.efi").is_ok());
/// for hostile in ["..", "net", ".hidden", "a/b", "a b.efi", "a\nshell", "${net0/mac}.efi", "é.efi"] {
///     assert!(KernelName::new(hostile).is_err(), "{hostile}");
/// }
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelName(Box<str>);

impl KernelName {
    /// Takes `name` if it is safe.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, KernelNameError> {
        let name = name.as_ref();
        names::check(name)?;
        if name.len() > LONGEST {
            return Err(KernelNameError::TooLong(name.to_owned()));
        }
        let refused = |c: &char| !(c.is_ascii_alphanumeric() || "._-+~@=,:".contains(*c));
        let first = name.chars().find(|c| !c.is_ascii_alphanumeric());
        let leading = first.filter(|c| name.starts_with(*c));
        if let Some(character) = name.chars().find(refused).or(leading) {
            return Err(KernelNameError::Character {
                name: name.to_owned(),
                character,
            });
        }
        if name == LINKS {
            return Err(KernelNameError::Reserved(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// The name here of what a run mode leads to upstream and upstream lists under no name:
    /// `runmode-MODE-HASH.efi`. Both parts have legal characters only.
    pub(crate) fn unlisted(mode: &RunMode, sha256: &Sha256) -> Self {
        let mut hash = sha256.to_string();
        hash.truncate(16);
        Self(format!("runmode-{mode}-{hash}.efi").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for KernelName {
    type Error = KernelNameError;
    fn try_from(name: String) -> Result<Self, KernelNameError> {
        Self::new(name)
    }
}

impl std::str::FromStr for KernelName {
    type Err = KernelNameError;
    fn from_str(name: &str) -> Result<Self, KernelNameError> {
        Self::new(name)
    }
}

impl From<KernelName> for String {
    fn from(name: KernelName) -> Self {
        name.0.into()
    }
}
