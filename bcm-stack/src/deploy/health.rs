//! How an instance is.

use std::time::{Duration, Instant};

use bcm_core::wait::Timeout;
use bcm_lxd::Client;
use serde::Serialize;

use super::DeployError;
use super::command::{attempt, tail};
use super::error::LastWords;
use crate::wanted::Wanted;

const SCRIPT: &str = include_str!("health.sh");

/// How often an instance is asked.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Lines of the journal that an error repeats.
const JOURNAL: usize = 12;

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum State {
    /// It does what it is for.
    Well,
    /// It runs, and does not serve yet: a first sync takes its time.
    NotYet(String),
    /// It does not run.
    Unwell(String),
    /// It does not run, and ends again whenever it is started.
    Failing(String),
}

impl State {
    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self, Self::Unwell(_) | Self::Failing(_))
    }
}

/// Asks a replica how it is.
///
/// # Errors
/// The instance cannot be asked.
pub async fn health(client: &Client, wanted: &Wanted) -> Result<State, DeployError> {
    let instance = &wanted.replica.instance;
    let http = wanted.health.http.as_deref().unwrap_or("-");
    let tcp = wanted
        .health
        .tcp
        .map_or("-".to_owned(), |port| port.to_string());
    let mut argv = vec!["bash", "-c", SCRIPT, "health", http, &tcp];
    let enabled = wanted.units.iter().filter(|unit| unit.enable);
    argv.extend(enabled.map(|unit| unit.name.as_str()));
    let ended = attempt(client, instance, &argv, ANSWER).await?;
    let said = tail(&ended.stdout, 1);
    match ended.status {
        0 if wanted.health.command.is_empty() => Ok(State::Well),
        0 => {
            let argv: Vec<&str> = wanted.health.command.iter().map(String::as_str).collect();
            let ended = attempt(client, instance, &argv, ANSWER).await?;
            Ok(match ended.status {
                0 => State::Well,
                status => State::Unwell(format!("`{}` ended with {status}", argv.join(" "))),
            })
        }
        3 => Ok(State::NotYet(said)),
        4 => Ok(State::Failing(said)),
        _ => Ok(State::Unwell(said)),
    }
}

/// Waits until a replica is well; or, where `alive` is enough, until it runs.
pub(super) async fn wait(
    client: &Client,
    wanted: &Wanted,
    alive: bool,
) -> Result<State, DeployError> {
    let began = Instant::now();
    let limit = wanted.health.limit();
    loop {
        let (reason, in_vain) = match health(client, wanted).await? {
            State::Well => return Ok(State::Well),
            State::NotYet(reason) if alive => return Ok(State::NotYet(reason)),
            State::NotYet(reason) | State::Unwell(reason) => (reason, false),
            State::Failing(reason) => (reason, true),
        };
        if in_vain || began.elapsed() >= limit {
            return Err(DeployError::Unwell {
                instance: wanted.replica.instance.clone(),
                source: LastWords {
                    timeout: Timeout {
                        what: format!("{} to get well", wanted.replica.instance),
                        waited: began.elapsed(),
                        last_seen: reason.clone(),
                    },
                    written_to: "journal",
                    text: journal(client, wanted).await,
                },
                reason,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The last lines of its units' journal.
async fn journal(client: &Client, wanted: &Wanted) -> String {
    let lines = JOURNAL.to_string();
    let mut argv = vec!["journalctl", "--no-pager", "-o", "cat", "-n", &lines];
    for unit in wanted.units.iter().filter(|unit| unit.enable) {
        argv.extend(["-u", &unit.name]);
    }
    match attempt(client, &wanted.replica.instance, &argv, ANSWER).await {
        Ok(ended) => tail(&ended.stdout, JOURNAL),
        Err(error) => error.to_string(),
    }
}
