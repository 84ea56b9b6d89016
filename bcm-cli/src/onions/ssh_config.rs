//! Settings for ssh, in a file of BCM's own.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{OnionError, Onions};
use crate::environment::Environment;
use crate::ssh_config;

/// The file for `ssh -F`, written where it is not so already: `ssh_config`, or one for each file that
/// is to be read instead of the user's own.
pub(crate) fn config_file(
    environment: &Environment,
    onions: &Onions,
    after: Option<&Path>,
) -> Result<PathBuf, OnionError> {
    let program = &environment.program;
    let text = ssh_config::text(&hosts(onions, program), after);
    onions.write(&ssh_config::file_name(after), &text)
}

/// The machines' settings.
fn hosts(onions: &Onions, program: &Path) -> String {
    let mut text = String::new();
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
    text
}

/// A program in a ProxyCommand: a word of a shell, in which `%` begins a token.
fn command_word(path: &Path) -> String {
    let path = path.to_string_lossy();
    format!("'{}'", path.replace('\'', r"'\''").replace('%', "%%"))
}
