//! Brings packages, files and units into an instance, and takes them back where it does not get well.

use std::time::Duration;

use bcm_lxd::api::FileMeta;
use bcm_lxd::{Client, ClientOptions};

use super::DeployError;
use super::command::{attempt, run};
use super::health::{State, health, wait};
use crate::plan::Applied;
use crate::wanted::{Wanted, WantedFile};

const SWAP: &str = include_str!("swap.sh");
const ROLLBACK: &str = include_str!("rollback.sh");

/// How long packages may take to be installed.
const PACKAGES: Duration = Duration::from_secs(600);

/// How long a short command may take.
const SHORT: Duration = Duration::from_secs(120);

/// How long units may take to be restarted, after whoever did so before has ended.
const CHANGE: Duration = Duration::from_secs(300);

/// How long a file may take to get there.
const FILE: Duration = Duration::from_secs(600);

/// Brings what differs from `applied` into the instance of `wanted`, and says how it is then.
///
/// # Errors
/// It could not be brought. Where the instance had something before, it has that again.
pub(super) async fn deliver(
    client: &Client,
    wanted: &Wanted,
    applied: &Applied,
) -> Result<State, DeployError> {
    let instance = wanted.replica.instance.as_str();
    packages(client, wanted).await?;
    // What was well has to be well again; what only ran has to run.
    let before = applied.started(wanted);
    let was_well = match applied.is_new() {
        true => false,
        false => health(client, &before).await? == State::Well,
    };
    let files: Vec<&WantedFile> = applied.differing(wanted).collect();
    bring(client, instance, &files).await?;
    let changed = swap(client, wanted, applied, &files).await;
    let ended = match changed {
        Ok(()) => wait(client, wanted, !was_well).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(state) => {
            forget_previous(client, instance, &files).await?;
            Ok(state)
        }
        Err(error) if applied.is_new() => Err(error),
        Err(error) => Err(roll_back(client, wanted, &before, &files, !was_well, error).await),
    }
}

/// Installs the packages that are not there. Where a package has another file of settings than is there, the one
/// that is there stays: nobody can be asked.
async fn packages(client: &Client, wanted: &Wanted) -> Result<(), DeployError> {
    if wanted.packages.is_empty() {
        return Ok(());
    }
    let instance = wanted.replica.instance.as_str();
    let with = |first: &[&'static str]| -> Vec<String> {
        let first = first.iter().map(|word| (*word).to_owned());
        first.chain(wanted.packages.iter().cloned()).collect()
    };
    let there = with(&["dpkg-query", "-W", "-f", "${db:Status-Status}\n"]);
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let asked = attempt(client, instance, &there, SHORT).await?;
    let said = String::from_utf8_lossy(&asked.stdout);
    let installed = said.lines().filter(|line| *line == "installed").count();
    if asked.status == 0 && installed == wanted.packages.len() {
        return Ok(());
    }
    // What was cut off in the middle is ended first.
    run(
        client,
        instance,
        &[
            "dpkg",
            "--force-confdef",
            "--force-confold",
            "--configure",
            "-a",
        ],
        PACKAGES,
    )
    .await?;
    run(client, instance, &["apt-get", "update", "-q"], PACKAGES).await?;
    let install = with(&[
        "apt-get",
        "install",
        "-qy",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ]);
    let install: Vec<&str> = install.iter().map(String::as_str).collect();
    run(client, instance, &install, PACKAGES).await?;
    Ok(())
}

/// Puts the files beside their places, and tries the programs among them.
async fn bring(client: &Client, instance: &str, files: &[&WantedFile]) -> Result<(), DeployError> {
    let patient = client.with_options(ClientOptions {
        answer: FILE,
        ..ClientOptions::default()
    });
    for file in files {
        let (folder, _) = file.path.rsplit_once('/').unwrap_or(("", ""));
        if !folder.is_empty() {
            run(client, instance, &["mkdir", "-p", folder], SHORT).await?;
        }
        let new = format!("{}.bcm-new", file.path);
        // Nobody else reads it before it belongs to its owner.
        let mode = match file.try_with.is_empty() {
            true => 0o600,
            false => 0o700,
        };
        let meta = FileMeta {
            mode,
            ..FileMeta::default()
        };
        patient
            .write_file(instance, &new, file.content.clone(), meta)
            .await?;
        if !file.try_with.is_empty() {
            let mut argv = vec![new.as_str()];
            argv.extend(file.try_with.iter().map(String::as_str));
            if let Err(source) = run(client, instance, &argv, SHORT).await {
                // It stays out of the way; nothing uses it.
                let _ = attempt(client, instance, &["rm", "-f", &new], SHORT).await;
                return Err(DeployError::Program {
                    instance: instance.to_owned(),
                    path: file.path.clone(),
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(())
}

/// Puts the files in their places, and restarts what they are for.
async fn swap(
    client: &Client,
    wanted: &Wanted,
    applied: &Applied,
    files: &[&WantedFile],
) -> Result<(), DeployError> {
    let mut argv: Vec<String> = ["bash", "-c", SWAP, "swap", "files:"]
        .map(str::to_owned)
        .into();
    let root = || "root".to_owned();
    for file in files {
        argv.push(file.path.clone());
        argv.push(format!("{:o}", file.mode));
        argv.push(file.owner.clone().unwrap_or_else(root));
    }
    argv.push("folders:".to_owned());
    for volume in &wanted.volumes {
        argv.push(volume.path.clone());
        argv.push(volume.owner.clone().unwrap_or_else(root));
    }
    let (restart, reload) = affected(wanted, applied, files);
    argv.push("restart:".to_owned());
    argv.extend(restart);
    argv.push("reload:".to_owned());
    argv.extend(reload);
    argv.push("enable:".to_owned());
    argv.extend(enabled(wanted));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    run(client, &wanted.replica.instance, &argv, CHANGE).await?;
    Ok(())
}

fn enabled(wanted: &Wanted) -> impl Iterator<Item = String> {
    let enabled = wanted.units.iter().filter(|unit| unit.enable);
    enabled.map(|unit| unit.name.clone())
}

/// The units that have to be restarted, and those that only read their files again.
fn affected(
    wanted: &Wanted,
    applied: &Applied,
    files: &[&WantedFile],
) -> (Vec<String>, Vec<String>) {
    let all = applied.is_new() || files.iter().any(|file| file.reloads.is_empty());
    if all {
        return (enabled(wanted).collect(), Vec::new());
    }
    let new = enabled(wanted).filter(|unit| !applied.units.contains(unit));
    let mut reload: Vec<String> = files
        .iter()
        .flat_map(|f| f.reloads.iter().cloned())
        .collect();
    reload.sort();
    reload.dedup();
    (new.collect(), reload)
}

/// Removes what was kept for going back.
async fn forget_previous(
    client: &Client,
    instance: &str,
    files: &[&WantedFile],
) -> Result<(), DeployError> {
    if files.is_empty() {
        return Ok(());
    }
    let kept =
        |file: &&WantedFile| ["previous", "absent"].map(|kind| format!("{}.bcm-{kind}", file.path));
    let previous: Vec<String> = files.iter().flat_map(kept).collect();
    let mut argv = vec!["rm", "-f", "--"];
    argv.extend(previous.iter().map(String::as_str));
    run(client, instance, &argv, SHORT).await?;
    Ok(())
}

/// Puts back what there was before `error`: files, and the units of `before`.
async fn roll_back(
    client: &Client,
    wanted: &Wanted,
    before: &Wanted,
    files: &[&WantedFile],
    alive: bool,
    error: DeployError,
) -> DeployError {
    let instance = &wanted.replica.instance;
    let mut argv: Vec<String> = ["bash", "-c", ROLLBACK, "rollback", "files:"]
        .map(str::to_owned)
        .into();
    argv.extend(files.iter().map(|file| file.path.clone()));
    argv.push("restart:".to_owned());
    argv.extend(enabled(before));
    argv.push("new:".to_owned());
    argv.extend(enabled(wanted).filter(|unit| enabled(before).all(|old| old != *unit)));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    if let Err(back) = run(client, instance, &argv, CHANGE).await {
        return DeployError::NotRolledBack {
            instance: instance.clone(),
            reason: bcm_core::cause::chain(&back),
            source: Box::new(error),
        };
    }
    DeployError::RolledBack {
        instance: instance.clone(),
        well: wait(client, before, alive).await.is_ok(),
        source: Box::new(error),
    }
}
