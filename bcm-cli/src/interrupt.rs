//! Ctrl-C and SIGTERM: the first stops cleanly, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit_code::ExitCode;
use crate::reporter::Reporter;

/// Watches for signals for the rest of the process's life. The token is cancelled at the first.
///
/// # Errors
/// The system does not let signals be watched.
pub(crate) fn watch(reporter: &Reporter) -> std::io::Result<CancellationToken> {
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
        reporter.say("stopping; once more stops at once");
        cancel.cancel();
        next().await;
        // Everything on disk is made to survive this.
        std::process::exit(ExitCode::Interrupted as i32);
    });
    Ok(token)
}
