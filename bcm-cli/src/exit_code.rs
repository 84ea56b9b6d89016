//! What the exit code says.

/// The exit codes of `bcm`. They are part of its interface: scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// All of it was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage: an argument, a `BCM_…` variable, or `bcm.toml`.
    Usage = 2,
    /// Done, except for some entries, which were named.
    Partial = 3,
    /// The answer to the question is bad news: damage was found, or the mirror is not healthy.
    Unhealthy = 4,
    /// Stopped by Ctrl-C or SIGTERM before it was done.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
