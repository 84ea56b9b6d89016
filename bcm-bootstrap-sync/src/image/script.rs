//! The script that a medium carries.

use bytes::Bytes;

use super::MediaError;

/// The most bytes of a script that a medium can carry; one that boots Zero-OS has two thousand.
const LIMIT: usize = 32 << 10;

/// An iPXE script that a medium can carry. Whoever makes it answers for what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(Bytes);

impl Script {
    /// Takes a script.
    ///
    /// # Errors
    /// It does not begin with `#!ipxe`, or has more than 32 KiB.
    pub fn new(text: impl Into<String>) -> Result<Self, MediaError> {
        let text = text.into();
        if !text.starts_with("#!ipxe\n") {
            return Err(MediaError::NotAScript);
        }
        if text.len() > LIMIT {
            return Err(MediaError::ScriptTooLong {
                len: text.len(),
                limit: LIMIT,
            });
        }
        Ok(Self(text.into()))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }
}
