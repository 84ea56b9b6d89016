//! What ssh's words mean (OpenSSH 8.5 to 10, `LC_ALL=C`, `-v`).

use crate::{ConnectError, HostKey, HostKeyPolicy, onion::PROXY_SAYS};

/// ssh's stderr: what it says to everybody, and what it says for debugging.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    words: Vec<String>,
    debug: Vec<String>,
}

impl Transcript {
    pub(super) fn new(stderr: &str) -> Self {
        let mut transcript = Self::default();
        for line in stderr.lines() {
            let line = line.trim_end_matches('\r');
            if let Some(debug) = line.strip_prefix("debug1: ") {
                transcript.debug.push(debug.to_owned());
            } else if !is_chatter(line) {
                transcript.words.push(line.to_owned());
            }
        }
        transcript
    }

    fn find(&self, part: &str) -> Option<&str> {
        self.words
            .iter()
            .map(String::as_str)
            .find(|line| line.contains(part))
    }
}

/// What `-v` adds without calling it debugging, and lines that only decorate.
fn is_chatter(line: &str) -> bool {
    line.trim().is_empty()
        || line.starts_with("OpenSSH_")
        || line.starts_with("Authenticated to ")
        || line.starts_with("Authenticated using ")
        || line.starts_with("Transferred: ")
        || line.starts_with("Bytes per second: ")
        || line.chars().all(|c| c == '@')
        || line.starts_with("Pseudo-terminal will not be allocated")
}

/// The key that the host showed: the last one, as those of jump hosts come first.
pub(super) fn host_key(transcript: &Transcript) -> Option<HostKey> {
    let key = transcript
        .debug
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("Server host key: "))?;
    let (algorithm, fingerprint) = key.split_once(' ')?;
    Some(HostKey {
        algorithm: algorithm.to_owned(),
        fingerprint: fingerprint.to_owned(),
        added: transcript.find("Warning: Permanently added ").is_some(),
    })
}

/// The last thing that was said for all to hear.
pub(super) fn last_words(transcript: &Transcript) -> String {
    transcript.words.last().cloned().unwrap_or_default()
}

/// The last thing that was said at all, to tell how far it came.
pub(super) fn last_seen(transcript: &Transcript) -> String {
    transcript
        .words
        .last()
        .or(transcript.debug.last())
        .cloned()
        .unwrap_or_else(|| "nothing".to_owned())
}

/// A line of `ssh-keygen -l`: `256 SHA256:… comment (ED25519)`.
pub(super) fn keygen_line(line: &str) -> Option<HostKey> {
    let line = line.lines().next()?;
    let fingerprint = line.split(' ').nth(1)?;
    let kind = line.rsplit_once('(')?.1.trim_end().trim_end_matches(')');
    Some(HostKey {
        algorithm: kind.to_owned(),
        fingerprint: fingerprint.to_owned(),
        added: false,
    })
}

/// Why there is no connection.
pub(super) fn interpret(
    transcript: &Transcript,
    destination: &str,
    policy: &HostKeyPolicy,
    greeting: &str,
) -> ConnectError {
    let host = || destination.to_owned();
    let say = |line: &str| line.trim_start_matches("ssh: ").to_owned();
    for part in [
        "Bad configuration option",
        "terminating, ",
        "Bad owner or permissions",
        "Can't open user config file",
        "keyword ",
        "no argument after keyword",
    ] {
        if let Some(line) = transcript.find(part) {
            return ConnectError::Configuration(line.to_owned());
        }
    }
    if let Some(line) = transcript.find(PROXY_SAYS) {
        return ConnectError::Proxy {
            host: host(),
            message: line.trim_start_matches(PROXY_SAYS).to_owned(),
        };
    }
    if let Some(error) = host_key_error(transcript, destination, policy) {
        return error;
    }
    if let Some(line) = transcript.find("Could not resolve hostname") {
        return ConnectError::Resolve {
            host: named(line, "Could not resolve hostname ").unwrap_or_else(host),
            message: line.rsplit(": ").next().unwrap_or(line).to_owned(),
        };
    }
    if let Some(line) = transcript.find("Permission denied (") {
        let (who, methods) = line
            .split_once(": Permission denied (")
            .unwrap_or(("", line));
        return ConnectError::Denied {
            host: host(),
            user: who.rsplit_once('@').map(|(user, _)| user.to_owned()),
            methods: methods
                .trim_end_matches('.')
                .trim_end_matches(')')
                .to_owned(),
        };
    }
    if let Some(line) = transcript.find("Too many authentication failures") {
        return ConnectError::Denied {
            host: host(),
            user: None,
            methods: say(line),
        };
    }
    if let Some(line) = transcript.find("connect to host ") {
        return no_connection(line, destination);
    }
    for part in [
        "Connection timed out during banner exchange",
        "Connection to UNKNOWN port",
    ] {
        if let Some(line) = transcript.find(part) {
            return ConnectError::Unreachable {
                host: host(),
                message: say(line),
            };
        }
    }
    if transcript
        .debug
        .iter()
        .any(|line| line.starts_with("Entering interactive session"))
    {
        let said = greeting.trim();
        return ConnectError::NoShell {
            host: host(),
            message: if said.is_empty() {
                last_words(transcript)
            } else {
                said.to_owned()
            },
        };
    }
    for part in [
        "closed by",
        "Connection reset",
        "kex_exchange_identification",
        "banner exchange",
        "Broken pipe",
    ] {
        if let Some(line) = transcript.find(part) {
            // A proxy says why before ssh notices that it hung up.
            let first = transcript.words.first().filter(|first| *first != line);
            return ConnectError::Closed {
                host: host(),
                message: match first {
                    Some(first) => format!("{first}; {}", say(line)),
                    None => say(line),
                },
            };
        }
    }
    ConnectError::Other {
        host: host(),
        message: match last_words(transcript) {
            nothing if nothing.is_empty() => last_seen(transcript),
            words => say(&words),
        },
    }
}

/// `connect to host HOST port PORT: REASON`.
fn no_connection(line: &str, destination: &str) -> ConnectError {
    let (_, rest) = line.split_once("connect to host ").unwrap_or(("", line));
    let (at, reason) = rest.split_once(": ").unwrap_or((rest, "no reason given"));
    let (address, port) = at.split_once(" port ").unwrap_or((at, ""));
    // An alias is what the user knows; the address is what was tried.
    let host = if destination.contains(address) {
        destination.to_owned()
    } else {
        format!("{destination} ({address})")
    };
    if reason == "Connection refused" {
        ConnectError::Refused {
            host,
            port: port.parse().ok(),
        }
    } else {
        ConnectError::Unreachable {
            host,
            message: reason.to_owned(),
        }
    }
}

fn host_key_error(
    transcript: &Transcript,
    destination: &str,
    policy: &HostKeyPolicy,
) -> Option<ConnectError> {
    let unknown = transcript.find("host key is known for ");
    let failed = transcript.find("Host key verification failed").is_some()
        || transcript.find("no matching host key type found").is_some();
    if !failed && unknown.is_none() {
        return None;
    }
    let offered = host_key(transcript);
    // A jump host is checked by the user's own rules, and its name is in ssh's words.
    let host = unknown
        .or(transcript.find("Host key for "))
        .and_then(|line| {
            named(line, "host key is known for ").or_else(|| named(line, "Host key for "))
        })
        .filter(|name| name != "bcm-pinned" && !destination.contains(name.as_str()))
        .map_or_else(
            || destination.to_owned(),
            |name| format!("{destination} ({name})"),
        );
    if let HostKeyPolicy::Pinned(pinned) = policy {
        return Some(ConnectError::PinMismatch {
            host,
            pinned: pinned.clone(),
            offered,
        });
    }
    let changed = transcript.find("HOST IDENTIFICATION HAS CHANGED").is_some()
        || transcript
            .find("Host key for ")
            .is_some_and(|l| l.contains("has changed"))
        || transcript.find("Offending ").is_some();
    if changed {
        let location = transcript
            .find("Offending ")
            .and_then(|line| line.split_once(" key in "))
            .map(|(_, location)| location.trim().to_owned());
        return Some(ConnectError::HostKeyChanged {
            host,
            known: None,
            offered: offered.map(Box::new),
            location,
        });
    }
    Some(ConnectError::UnknownHostKey { host, offered })
}

/// The word after `part`.
fn named(line: &str, part: &str) -> Option<String> {
    let (_, rest) = line.split_once(part)?;
    let name = rest.split([' ', ':']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
