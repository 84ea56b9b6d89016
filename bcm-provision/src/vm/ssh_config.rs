//! Settings for ssh with which machines have names.

use std::fmt::Write;
use std::path::Path;

use super::fleet::{Fleet, USER};

/// The part of an ssh_config(5) with the machines of `fleets`, each a `Host`. What is read before it must not say
/// anything else of them.
#[must_use]
pub fn ssh_hosts(fleets: &[Fleet]) -> String {
    let mut text = String::new();
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
    text
}

/// A path as a value, in which `%` begins a token.
fn word(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "\\\\");
    format!("\"{}\"", path.replace('%', "%%"))
}
