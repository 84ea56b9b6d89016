//! Errors for people: what failed, on what, why, what to try. Only this file walks the chain of
//! causes, adds hints and picks exit codes.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::http::{HttpError, HttpErrorKind};
use bcm_core::lock::LockError;
use bcm_hub_sync::store::StoreError;
use bcm_hub_sync::sync::SyncError;
use bcm_hub_sync::zdb::client::ClientError;
use bcm_ssh::ForwardError;
use bcm_ssh::onion::tor::TorError;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::onions::TOR_HINT;
use crate::printer::PrintError;
use crate::settings::SettingsError;
use crate::settings::file::{FileError, Mistake};

/// Why a command ended without its result.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
    code: ExitCode,
}

/// A message that has no cause below it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

impl Failure {
    /// A failure with exit code 1, and the hint that fits its causes.
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        let hint = hint_for(&error);
        Self {
            error: Box::new(error),
            hint,
            code: ExitCode::Failed,
        }
    }

    /// A mistake of who typed it: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            error: Box::new(Message(message.into())),
            hint: None,
            code: ExitCode::Usage,
        }
    }

    /// The work was stopped by a signal: exit code 130.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::usage(message).with_code(ExitCode::Interrupted)
    }

    /// The same with another hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what to do about an address that cannot be listened on; `flag` chooses it.
    pub(crate) fn hint_on_listening(self, flag: &str) -> Self {
        let hint = match find::<io::Error>(&*self.error).map(io::Error::kind) {
            Some(io::ErrorKind::AddrInUse) => format!(
                "something else listens there; choose another address with {flag}, or port 0 for any"
            ),
            Some(io::ErrorKind::PermissionDenied) => format!(
                "ports below 1024 are for root; choose another with {flag}, or allow it: \
                 `setcap cap_net_bind_service=+ep` on the program"
            ),
            Some(io::ErrorKind::AddrNotAvailable) => {
                format!(
                    "this machine does not have that address; choose one of its own with {flag}"
                )
            }
            _ => return self,
        };
        self.with_hint(hint)
    }

    /// The same with another exit code.
    pub(crate) fn with_code(mut self, code: ExitCode) -> Self {
        self.code = code;
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        self.code
    }

    /// The message, its causes from the outside in, and the hint.
    pub(crate) fn report(&self) -> Report {
        let mut causes: Vec<String> = Vec::new();
        let mut message = self.error.to_string();
        let mut next = self.error.source();
        while let Some(error) = next {
            let text = error.to_string();
            // An error that shows its source's text as its own would be said twice.
            if text != *causes.last().unwrap_or(&message) {
                causes.push(text);
            }
            next = error.source();
        }
        let mistake = find::<Mistake>(&*self.error);
        if let Some(mistake) = mistake {
            message = mistake.to_string();
            causes.clear();
        }
        Report {
            event: "error",
            message,
            causes,
            hint: self.hint.clone(),
            exit_code: self.code as u8,
            log: None,
            excerpt: mistake.map(excerpt),
        }
    }
}

/// A failure as it is shown: text, or one JSON event.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    event: &'static str,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit_code: u8,
    /// Where all that happened was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<PathBuf>,
    #[serde(skip)]
    excerpt: Option<String>,
}

impl Report {
    /// The same with the path of a log.
    pub(crate) fn with_log(&self, log: Option<&Path>) -> Self {
        Self {
            log: log.map(Path::to_owned),
            ..self.clone()
        }
    }

    /// For people, several lines.
    pub(crate) fn text(&self, colour: bool) -> String {
        let (red, cyan, plain) = match colour {
            true => ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"),
            false => ("", "", ""),
        };
        let mut text = format!("{red}error:{plain} {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        if let Some(excerpt) = &self.excerpt {
            text.push_str(excerpt);
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{cyan}hint:{plain} {hint}\n"));
        }
        if let Some(log) = &self.log {
            text.push_str(&format!("{cyan}log:{plain} {}\n", log.display()));
        }
        text
    }

    /// For programs, one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

fn excerpt(mistake: &Mistake) -> String {
    let number = mistake.line.to_string();
    let margin = " ".repeat(number.len());
    // A tab before the place must stay one, or the mark stands elsewhere.
    let before: String = mistake
        .excerpt
        .chars()
        .take(mistake.column - 1)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let line = format!("{margin} |\n{number} | {}\n", mistake.excerpt);
    match mistake.width {
        0 => line,
        width => format!("{line}{margin} | {before}{}\n", "^".repeat(width)),
    }
}

/// The first error of type `T` in the chain that starts with `error`.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn hint_for(error: &(dyn Error + 'static)) -> Option<String> {
    let in_use = matches!(find(error), Some(LockError::Held { .. }))
        || matches!(find(error), Some(StoreError::InUse { .. }));
    if in_use {
        return Some(
            "one process at a time writes to a data folder; wait for it, or use another --data"
                .to_owned(),
        );
    }
    if let Some(TorError::Ended(_) | TorError::Late { .. }) = find(error) {
        return Some(TOR_HINT.to_owned());
    }
    if let Some(ForwardError::Denied { .. }) = find(error) {
        return Some(
            "log in there as root, as a user who may use sudo without a password, or as one in the \
             engine's group; `bcm host prepare` makes such a user"
                .to_owned(),
        );
    }
    if let Some(SyncError::Held { .. }) = find(error) {
        return Some("`bcm hub snapshot release` lets syncs go on".to_owned());
    }
    if let Some(SyncError::StandsAlone { .. }) = find(error) {
        return Some(
            "`bcm hub attach --discard` makes it a mirror again, and gives up what was published in it"
                .to_owned(),
        );
    }
    if let Some(StoreError::Damaged { path, .. }) = find(error) {
        let folder = path.parent().unwrap_or(path).display();
        return Some(format!(
            "readers go on with what can be read; to make the store anew, move {folder} away and run \
             `bcm hub sync --recheck-blocks`, which fetches the blocks again"
        ));
    }
    if let Some(HttpError { kind, .. }) = find(error) {
        match kind {
            HttpErrorKind::Connect => {
                return Some(
                    "is it up, and can this machine reach it? other hubs are named with --upstream"
                        .to_owned(),
                );
            }
            HttpErrorKind::Silent { .. } => {
                return Some("--timeout sets how long an answer is waited for".to_owned());
            }
            _ => {}
        }
    }
    if let Some(ClientError::Timeout { .. }) = find(error) {
        return Some("--timeout sets how long an answer is waited for".to_owned());
    }
    let io = find::<io::Error>(error)?;
    let hint = match io.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some room and run the same command again; it goes on from there"
        }
        io::ErrorKind::PermissionDenied => {
            "check who owns it; another data folder is chosen with --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a data folder that can be written with --data",
        _ => return None,
    };
    Some(hint.to_owned())
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let (error, hint): (Box<dyn Error + Send + Sync>, _) = match error {
            SettingsError::File(FileError::Content(mistake)) => {
                let hint = mistake.hint.clone();
                (mistake, hint)
            }
            SettingsError::File(error @ FileError::Read { .. }) => (
                Box::new(error),
                Some("--config or BCM_CONFIG names a file that has to be there".to_owned()),
            ),
            error => (Box::new(error), None),
        };
        Self {
            error,
            hint,
            code: ExitCode::Usage,
        }
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Self::new(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not sync")]
    struct Outer(#[source] LockError);

    #[test]
    fn the_chain_is_shown_and_the_hint_fits() {
        let failure = Failure::new(Outer(LockError::Held {
            path: "/d/lock".into(),
            holder: "process 7".to_owned(),
        }));
        assert_eq!(failure.code(), ExitCode::Failed);
        assert_eq!(
            failure.report().text(false),
            "error: could not sync\n  \
             because: /d/lock is in use by another process (process 7)\n\
             hint: one process at a time writes to a data folder; wait for it, or use another --data\n"
        );
    }

    #[test]
    fn an_engine_that_lets_the_user_not_in_names_sudo() {
        let failure = Failure::new(ForwardError::Denied {
            host: "node1".to_owned(),
            path: "/run/unix.socket".into(),
        });
        let text = failure.report().text(false);
        assert!(text.contains("sudo without a password"), "{text}");
    }

    #[test]
    fn a_full_disk_is_recognised() {
        let error = LockError::Io {
            path: "/d/lock".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        assert!(
            Failure::new(error)
                .report()
                .text(false)
                .contains("disk is full")
        );
    }
}
