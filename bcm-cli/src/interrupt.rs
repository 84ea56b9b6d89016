//! Ctrl-C and SIGTERM: the first stops cleanly, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit_code::ExitCode;
use crate::reporter::Reporter;

/// What is said when a signal comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// At the first.
    pub(crate) first: &'static str,
    /// At the second, before the process ends.
    pub(crate) second: Option<&'static str>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            first: "stopping; once more stops at once",
            second: None,
        }
    }
}

/// Watches for signals for the rest of the process's life. The token is cancelled at the first.
///
/// # Errors
/// The system does not let signals be watched.
pub(crate) fn watch(reporter: &Reporter) -> std::io::Result<CancellationToken> {
    watch_saying(reporter, Words::default())
}

/// [`watch`] with other words.
///
/// # Errors
/// The system does not let signals be watched.
pub(crate) fn watch_saying(
    reporter: &Reporter,
    words: Words,
) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let (cancel, reporter) = (token.clone(), reporter.clone());
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        reporter.say(words.first);
        cancel.cancel();
        next().await;
        if let Some(text) = words.second {
            reporter.warn(text);
        }
        // Everything on disk is made to survive this.
        std::process::exit(ExitCode::Interrupted as i32);
    });
    Ok(token)
}
