//! What to run: a program and its arguments, never a shell's line.

use std::{fmt, sync::Arc, time::Duration};

/// As whom to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privilege {
    /// As the user who is logged in.
    #[default]
    User,
    /// As root: directly if the user is, otherwise by `sudo -n`, which never asks for a password.
    Root,
}

/// A line that a command wrote, for [`Command::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLine<'a> {
    /// To stdout.
    Stdout(&'a str),
    /// To stderr.
    Stderr(&'a str),
}

type Watcher = Arc<dyn Fn(OutputLine<'_>) + Send + Sync>;

/// A program with arguments, a deadline, and what it reads on stdin.
///
/// The program runs with `LC_ALL=C`, with the folders for administration in its `PATH`, and with an
/// empty stdin unless [`Command::stdin`] gives one. Arguments arrive as they are: no shell on the
/// way expands anything. Whoever can list processes on that machine sees arguments and variables,
/// so secrets go to stdin.
///
/// ```
/// use bcm_ssh::{Command, Privilege};
/// use std::time::Duration;
///
/// let command = Command::new("apt-get")
///     .args(["install", "-y", "lxd"])
///     .env("DEBIAN_FRONTEND", "noninteractive")
///     .privilege(Privilege::Root)
///     .deadline(Duration::from_secs(600));
/// assert_eq!(command.to_string(), "apt-get install -y lxd");
/// ```
#[derive(Clone)]
pub struct Command {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) privilege: Privilege,
    pub(crate) deadline: Duration,
    pub(crate) stdin: Option<Arc<[u8]>>,
    pub(crate) output_limit: usize,
    pub(crate) watcher: Option<Watcher>,
}

impl Command {
    /// The deadline unless [`Command::deadline`] sets one: a minute.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

    /// How much a command may write to stdout and to stderr each, unless
    /// [`Command::output_limit`] says otherwise: 16 MiB.
    pub const DEFAULT_OUTPUT_LIMIT: usize = 16 << 20;

    /// A program, found in `PATH` if it has no slash.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            argv: vec![program.into()],
            env: Vec::new(),
            privilege: Privilege::User,
            deadline: Self::DEFAULT_DEADLINE,
            stdin: None,
            output_limit: Self::DEFAULT_OUTPUT_LIMIT,
            watcher: None,
        }
    }

    /// A script for `sh -eu`, which gets `args` as `$1`, `$2`, …
    #[must_use]
    pub fn script<I, S>(script: impl Into<String>, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self::new("sh").arg("-euc").arg(script).arg("sh").args(args)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the program's environment. The name must be a letter or `_` followed by
    /// letters, digits and `_`; any other makes the command fail with
    /// [`RunError::Invalid`](crate::RunError::Invalid).
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// As whom to run it.
    #[must_use]
    pub fn privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// How long it may take, all in all.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What it reads on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How many bytes it may write to stdout and to stderr each; one more ends it with an error.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Calls `watcher` with each line as it is written, without the end of the line. It must be
    /// quick: the command's output waits for it.
    #[must_use]
    pub fn watch(mut self, watcher: impl Fn(OutputLine<'_>) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    /// The program, without its arguments.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The program and its arguments. A [`Remote`](crate::Remote) of a test's own matches on this.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// What it reads on stdin, if that was set.
    #[must_use]
    pub fn stdin_bytes(&self) -> Option<&[u8]> {
        self.stdin.as_deref()
    }

    /// As whom it runs.
    #[must_use]
    pub fn runs_as(&self) -> Privilege {
        self.privilege
    }

    /// Why it cannot be run anywhere, if so.
    pub(crate) fn flaw(&self) -> Option<String> {
        if self.program().is_empty() {
            return Some("it has no program".to_owned());
        }
        let name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if self.program().contains('=') {
            // env would take it for a variable.
            return Some("its program's name contains =".to_owned());
        }
        if let Some((bad, _)) = self.env.iter().find(|(n, _)| !name(n)) {
            return Some(format!("{bad:?} is not the name of a variable"));
        }
        self.argv
            .iter()
            .chain(self.env.iter().map(|(_, value)| value))
            .any(|text| text.contains('\0'))
            .then(|| "an argument contains NUL".to_owned())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("argv", &self.argv)
            .field("privilege", &self.privilege)
            .field("deadline", &self.deadline)
            // It may be a secret.
            .field("stdin_bytes", &self.stdin.as_ref().map(|bytes| bytes.len()))
            .finish_non_exhaustive()
    }
}

/// The program and its arguments as a person would type them, on one line and cut where long.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
        let mut text = String::new();
        for argument in &self.argv {
            if !text.is_empty() {
                text.push(' ');
            }
            if argument.contains('\n') {
                // A script says nothing to whoever reads an error; its arguments do.
                text.push('…');
            } else if !argument.is_empty() && argument.chars().all(plain) {
                text.push_str(argument);
            } else {
                text.push_str(&format!("{argument:?}"));
            }
        }
        if text.len() > LONGEST {
            let cut = (0..=LONGEST).rev().find(|i| text.is_char_boundary(*i));
            text.truncate(cut.unwrap_or(0));
            text.push('…');
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_and_no_secret() {
        let command = Command::new("tee")
            .args(["a b", "x\ny", ""])
            .stdin(*b"secret");
        assert_eq!(command.to_string(), r#"tee "a b" … """#);
        assert!(!format!("{command:?}").contains("secret"));
        assert!(Command::new("x").arg("ü".repeat(300)).to_string().len() < 210);
    }

    #[test]
    fn what_cannot_run_is_found() {
        assert!(Command::new("").flaw().is_some());
        assert!(Command::new("A=b").flaw().is_some());
        assert!(Command::new("x").arg("a\0b").flaw().is_some());
        for bad in ["", "1A", "A-B", "A=B", "A B"] {
            assert!(Command::new("x").env(bad, "").flaw().is_some(), "{bad}");
        }
        assert_eq!(Command::new("x").env("_A1", "=\n").flaw(), None);
    }
}
