//! Files for `ssh -F` in which BCM's own machines come first, and then what the user has.

use std::path::Path;

use bcm_core::digest::{blake2b_128, to_hex};

/// What such a file is called: `ssh_config`, or another name for each file that is to be read after it instead
/// of the user's own.
pub(crate) fn file_name(after: Option<&Path>) -> String {
    match after {
        Some(path) => {
            let of = blake2b_128(path.as_os_str().as_encoded_bytes());
            format!("ssh_config.{}", to_hex(&of))
        }
        None => "ssh_config".to_owned(),
    }
}

/// The machines `hosts` first, as the first setting of a kind is the one that ssh takes (ssh_config(5)), then
/// the file `after`, or what ssh would have read without this one.
pub(crate) fn text(hosts: &str, after: Option<&Path>) -> String {
    let rest = match after {
        Some(path) => format!("Include {}\n", pattern(path)),
        None => "Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n".to_owned(),
    };
    format!("# Made by bcm; what is changed here does not stay.\n{hosts}\nHost *\n{rest}")
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
