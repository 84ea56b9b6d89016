//! Commands in instances.

use std::time::Duration;

use bcm_lxd::Client;
use bcm_lxd::types::{Config, ExecResult};

use super::DeployError;

/// Lines of a failed command's output that an error repeats.
const TAIL: usize = 15;

/// Runs a command in an instance, which has to end with 0 within `limit`.
///
/// # Errors
/// It cannot be run, or ends with something else.
pub async fn run(
    client: &Client,
    instance: &str,
    argv: &[&str],
    limit: Duration,
) -> Result<Vec<u8>, DeployError> {
    let ended = attempt(client, instance, argv, limit).await?;
    match ended.status {
        0 => Ok(ended.stdout),
        status => Err(failed(instance, argv, status, &ended)),
    }
}

/// Runs a command in an instance, however it ends within `limit`.
///
/// # Errors
/// It cannot be run.
pub async fn attempt(
    client: &Client,
    instance: &str,
    argv: &[&str],
    limit: Duration,
) -> Result<ExecResult, DeployError> {
    let environment = [
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/root"),
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ];
    let environment: Config = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    Ok(client.exec(instance, argv, environment, limit).await?)
}

pub(super) fn failed(
    instance: &str,
    argv: &[&str],
    status: i64,
    ended: &ExecResult,
) -> DeployError {
    let said = match ended.stderr.is_empty() {
        true => &ended.stdout,
        false => &ended.stderr,
    };
    // A script's text says nothing to people.
    let words = argv.iter().take_while(|word| !word.contains('\n'));
    DeployError::Command {
        instance: instance.to_owned(),
        command: words.copied().collect::<Vec<_>>().join(" "),
        status,
        tail: tail(said, TAIL),
    }
}

/// The last lines of a text.
pub(super) fn tail(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    // Consoles are full of colours.
    let plain: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    plain[plain.len().saturating_sub(lines)..].join("\n")
}
