//! How much room a new mirror will need on its members.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use bcm_bootstrap_sync::sync as kernels;
use bcm_core::cause::chain;
use bcm_core::http::{HttpOptions, Url};
use bcm_core::redact;
use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::sync as hub;
use bcm_stack::mirror::HubMode;
use bcm_stack::requirements::{NewMirrors, amount, room_for};

use crate::args::bootstrap::sync::SyncArgs as KernelArgs;
use crate::args::stack::StartCommand;
use crate::commands::Context;
use crate::settings::{self, SettingsError, key};

/// How long all the asking may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a part of one request may take, so that there is time to ask the next upstream.
const PATIENCE: Duration = Duration::from_secs(8);

/// What was found out of a part of the mirror.
#[derive(Debug, Default)]
struct Part {
    /// Bytes, as far as they are known.
    bytes: Option<u64>,
    /// Why they are not known, or not all of them.
    unknown: Vec<String>,
}

/// Asks the upstreams how much of theirs is chosen, says it, and warns of what is not known. `None` where
/// nothing is, or nobody will need any.
///
/// # Errors
/// A setting of the mirror is wrong.
pub(super) async fn needed(
    context: &Context,
    command: &StartCommand,
    new: &NewMirrors,
    mode: HubMode,
) -> Result<Option<u64>, SettingsError> {
    let settings = &context.settings;
    let hub = match new.hub && !mode.is_writable() {
        true => {
            let mut config = settings::sync::resolve(settings, &command.sync, &command.public)?;
            if !settings
                .many(&key::STORE, &command.store.store)?
                .0
                .is_empty()
            {
                // They are kept elsewhere.
                config.blocks = hub::BlockMode::None;
            }
            Some(config)
        }
        false => None,
    };
    let bootstrap = match new.bootstrap {
        true => Some(settings::bootstrap::sync(settings, &KernelArgs::default())?),
        false => None,
    };
    let (hub, bootstrap) = tokio::join!(async { Some(of_hub(context, hub?).await) }, async {
        Some(of_bootstrap(bootstrap?).await)
    });
    let parts: Vec<Part> = [hub, bootstrap].into_iter().flatten().collect();
    for reason in parts.iter().flat_map(|part| &part.unknown) {
        context.reporter.warn(reason);
    }
    let (needs, all) = sum(&parts);
    if let Some(needs) = needs {
        context.reporter.say(&sentence(needs, all, &new.members));
    }
    Ok(needs)
}

/// The room for what is known, and whether that is all.
fn sum(parts: &[Part]) -> (Option<u64>, bool) {
    let known = parts.iter().filter_map(|part| part.bytes);
    let bytes = known.reduce(u64::saturating_add);
    let all = parts.iter().all(|part| part.unknown.is_empty());
    (bytes.map(room_for), all)
}

fn sentence(needs: u64, all: bool, members: &BTreeSet<String>) -> String {
    let about = if all { "about" } else { "at least" };
    let needs = amount(needs);
    match (members.len(), members.first()) {
        (1, Some(member)) => format!("the mirror needs {about} {needs} on {member}"),
        (count, _) => format!("the mirror needs {about} {needs} on each of {count} members"),
    }
}

async fn of_hub(context: &Context, mut config: hub::SyncConfig) -> Part {
    hurry(&mut config.http, &mut config.retry);
    let client = &mut config.fetch.client;
    client.connect = client.connect.min(PATIENCE);
    client.idle = client.idle.min(PATIENCE);
    let progress = context.reporter.progress();
    let asking = hub::estimate(&config, &*progress);
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok(estimate)) => Part {
            bytes: Some(estimate.bytes()),
            unknown: match estimate.block_bytes {
                Some(_) => Vec::new(),
                None => vec![blocks_unknown(&estimate)],
            },
        },
        Ok(Err(error)) => unchecked(&config.upstreams, Some(&error)),
        Err(_) => unchecked(&config.upstreams, None),
    }
}

async fn of_bootstrap(mut config: kernels::SyncConfig) -> Part {
    hurry(&mut config.http, &mut config.retry);
    match tokio::time::timeout(LIMIT, kernels::estimate(&config)).await {
        Ok(Ok(estimate)) => Part {
            bytes: estimate.bytes,
            unknown: match estimate.bytes {
                Some(_) => Vec::new(),
                None => vec![format!(
                    "{} does not say how large its kernels are; the room for them is not known",
                    estimate.upstream
                )],
            },
        },
        Ok(Err(error)) => unchecked(&config.upstreams, Some(&error)),
        Err(_) => unchecked(&config.upstreams, None),
    }
}

/// One try, and not as patient as a sync that has all the time there is.
fn hurry(http: &mut HttpOptions, retry: &mut RetryPolicy) {
    *retry = RetryPolicy::never();
    http.connect = http.connect.min(PATIENCE);
    http.first_byte = http.first_byte.min(PATIENCE);
    http.idle = http.idle.min(PATIENCE);
}

fn blocks_unknown(estimate: &hub::Estimate) -> String {
    let why = match estimate.unknown.is_empty() {
        true => format!(
            "{} does not say how large its flists are",
            estimate.upstream
        ),
        false => estimate.unknown.join("; "),
    };
    format!("{why}; the room for the blocks is not known")
}

fn unchecked(upstreams: &[Url], error: Option<&(dyn Error + 'static)>) -> Part {
    let names = upstreams.iter().map(|url| redact::url(url.as_str()));
    let names: Vec<String> = names.collect();
    let names = names.join(", ");
    let why = match error {
        Some(error) => chain(error),
        None => format!("it was not done after {} s", LIMIT.as_secs()),
    };
    Part {
        bytes: None,
        unknown: vec![format!(
            "the room for what is mirrored of {names} was not checked: {why}"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: Option<u64>, unknown: &[&str]) -> Part {
        Part {
            bytes,
            unknown: unknown.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_is_known_counts_and_what_is_not_is_said() {
        assert_eq!(sum(&[]), (None, true));
        let both = [part(Some(1_000), &[]), part(Some(500), &[])];
        assert_eq!(sum(&both), (Some(1_650), true));
        let blocks_unknown = [part(Some(1_000), &["no 0-db"]), part(Some(500), &[])];
        assert_eq!(sum(&blocks_unknown), (Some(1_650), false));
        assert_eq!(sum(&[part(None, &["silent"])]), (None, false));
    }

    #[test]
    fn the_room_is_said_in_one_line() {
        let members = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        assert_eq!(
            sentence(1_234_567_890, true, &members(&["a", "b", "c"])),
            "the mirror needs about 1.2 GB on each of 3 members"
        );
        assert_eq!(
            sentence(12_345_678, false, &members(&["a"])),
            "the mirror needs at least 12 MB on a"
        );
    }

    #[test]
    fn who_did_not_answer_is_named_without_a_password() {
        let hub: Url = "https://user:secret@hub.example.org/".parse().unwrap();
        let part = unchecked(&[hub], None);
        let said = &part.unknown[0];
        assert!(said.contains("hub.example.org"), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(said.ends_with("it was not done after 30 s"), "{said}");
    }
}
