//! Settings for ssh, in a file of BCM's own.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bcm_core::digest::{blake2b_128, to_hex};

use super::{OnionError, Onions};
use crate::environment::Environment;

/// The file for `ssh -F`, written where it is not so already: `ssh_config`, or one for each file that
/// is to be read instead of the user's own.
pub(crate) fn config_file(
    environment: &Environment,
    onions: &Onions,
    after: Option<&Path>,
) -> Result<PathBuf, OnionError> {
    let program = &environment.program;
    let name = match after {
        Some(path) => {
            let of = blake2b_128(path.as_os_str().as_encoded_bytes());
            format!("ssh_config.{}", to_hex(&of))
        }
        None => "ssh_config".to_owned(),
    };
    onions.write(&name, &text(onions, program, after))
}

/// A file for `ssh -F`: the machines first, as the first setting of a kind is the one that ssh takes,
/// then the file `after`, or what ssh would have read without this one.
fn text(onions: &Onions, program: &Path, after: Option<&Path>) -> String {
    let mut text = "# Made by bcm; what is changed here does not stay.\n".to_owned();
    for (name, onion) in onions.hosts() {
        let _ = write!(
            text,
            "\nHost {name} {address}\n    HostName {address}\n    Port {}\n    ProxyCommand {} ssh proxy {name}\n",
            onion.port,
            command_word(program),
            address = onion.address,
        );
        if let Some(user) = &onion.user {
            let _ = writeln!(text, "    User {user}");
        }
        // Neither would be found, and both would ask a name server about it.
        text.push_str("    CanonicalizeHostname no\n    VerifyHostKeyDNS no\n");
    }
    text.push_str("\nHost *\n");
    match after {
        Some(path) => {
            let _ = writeln!(text, "Include {}", file_word(path));
        }
        None => text.push_str("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"),
    }
    text
}

/// A path as ssh_config(5) wants it. Include takes patterns.
fn file_word(path: &Path) -> String {
    let mut word = String::from("\"");
    for c in path.to_string_lossy().chars() {
        match c {
            '*' | '?' | '[' | '\\' => {
                word.push('\\');
                word.push(c);
            }
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

/// A program in a ProxyCommand: a word of a shell, in which `%` begins a token.
fn command_word(path: &Path) -> String {
    let path = path.to_string_lossy();
    format!("'{}'", path.replace('\'', r"'\''").replace('%', "%%"))
}
