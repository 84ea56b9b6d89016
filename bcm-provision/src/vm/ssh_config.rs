//! Settings for ssh with which machines have names.

use std::fmt::Write;
use std::path::Path;

use super::VmError;
use super::fleet::{Fleet, USER};

/// A file for `ssh -F`: the machines of `fleets` first, as the first setting of a kind is the one
/// that ssh takes (ssh_config(5)), then the file `after`, or what ssh would have read without this.
///
/// # Errors
/// What is kept of the machines cannot be read.
pub fn ssh_config(fleets: &[Fleet], after: Option<&Path>) -> Result<String, VmError> {
    let mut text = "# Made by bcm; what is changed here does not stay.\n".to_owned();
    for fleet in fleets {
        // Those of a fleet that is damaged have no names; others keep theirs.
        let Ok(nodes) = fleet.nodes() else { continue };
        for node in nodes {
            let (address, port) = node.at;
            let _ = write!(
                text,
                "\nHost {host}\n    HostName {address}\n    Port {port}\n    User {USER}\n    \
                 IdentityFile {key}\n    IdentitiesOnly yes\n    HostKeyAlias {host}\n    \
                 UserKnownHostsFile {known}\n    GlobalKnownHostsFile none\n    \
                 StrictHostKeyChecking yes\n    CheckHostIP no\n    \
                 CanonicalizeHostname no\n    ForwardAgent no\n",
                host = node.host,
                key = word(&fleet.login_key()),
                known = word(&fleet.known_hosts()),
            );
        }
    }
    text.push_str("\nHost *\n");
    match after {
        Some(path) => {
            let _ = writeln!(text, "Include {}", pattern(path));
        }
        None => text.push_str("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"),
    }
    Ok(text)
}

/// A path as a value, in which `%` begins a token.
fn word(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "\\\\");
    format!("\"{}\"", path.replace('%', "%%"))
}

/// A path for `Include`, which takes patterns.
fn pattern(path: &Path) -> String {
    let mut word = String::from("\"");
    for c in path.to_string_lossy().chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            word.push('\\');
        }
        word.push(c);
    }
    word.push('"');
    word
}
