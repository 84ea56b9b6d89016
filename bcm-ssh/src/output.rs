//! What came of a command.

use std::borrow::Cow;

use crate::{Command, RunError};

/// How a command ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit status. 255 over SSH, and 128 and more on this machine, also stand for a signal.
    pub status: i32,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether the exit status is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// What it wrote to stdout, as text, without white space at the end.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        trimmed(&self.stdout)
    }

    /// What it wrote to stderr, as text, without white space at the end.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        trimmed(&self.stderr)
    }

    /// Takes any exit status but 0 for an error.
    ///
    /// # Errors
    /// [`RunError::Failed`] with the end of what the command wrote.
    pub fn or_error(self, host: &str, command: &Command) -> Result<Self, RunError> {
        if self.success() {
            return Ok(self);
        }
        let said = if self.stderr_text().is_empty() {
            tail(&self.stdout_text())
        } else {
            tail(&self.stderr_text())
        };
        Err(RunError::Failed {
            host: host.to_owned(),
            command: command.to_string(),
            status: self.status,
            said,
        })
    }
}

fn trimmed(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
        Cow::Owned(text) => Cow::Owned(text.trim_end().to_owned()),
    }
}

/// The last lines of a text, at most 1,000 bytes of them.
pub(crate) fn tail(text: &str) -> String {
    const LONGEST: usize = 1000;
    let text = text.trim();
    let mut start = text.len().saturating_sub(LONGEST);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_was_said_last() {
        let command = Command::new("false");
        let output = |stdout: &str, stderr: &str| Output {
            status: 3,
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let error = output("out", "err\n").or_error("n1", &command).unwrap_err();
        assert_eq!(error.to_string(), "`false` on n1 ended with 3: err");
        let error = output("out\n", "").or_error("n1", &command).unwrap_err();
        assert!(error.to_string().ends_with(": out"));
        assert_eq!(tail(&"ü".repeat(1000)).len(), 1000);
    }
}
