//! The virtual machines that this user's clusters run on, and how they are reached.
//!
//! They are kept in `$XDG_STATE_HOME/bcm/vms`, which only the user may enter; images in
//! `$XDG_CACHE_HOME/bcm/vm`.

use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::progress::{self, SharedProgress};
use bcm_provision::vm::{
    BOOT_LIMIT, Fleet, NodeState, Programs, Provider, STOP_LIMIT, VmContext, VmError, ssh_hosts,
};

use crate::environment::Environment;
use crate::ssh_config;

/// What the library works with.
pub(crate) fn context(environment: &Environment, progress: SharedProgress) -> VmContext {
    VmContext {
        folder: folder(environment),
        cache: environment.cache_folder().join("vm"),
        programs: Programs::new(environment.program_folders()),
        boot_limit: BOOT_LIMIT,
        stop_limit: STOP_LIMIT,
        progress,
    }
}

fn folder(environment: &Environment) -> PathBuf {
    environment.state_folder().join("vms")
}

/// The machines of the cluster `name`, where it has any.
pub(crate) fn fleet(environment: &Environment, name: &str) -> Option<Fleet> {
    let fleet = Fleet::of(&folder(environment), name).ok()?;
    fleet.is_there().then_some(fleet)
}

/// All clusters that have some.
pub(crate) fn fleets(environment: &Environment) -> Result<Vec<Fleet>, VmError> {
    Fleet::all(&folder(environment))
}

/// The fleet that the machine `host` is of.
pub(crate) fn fleet_of(environment: &Environment, host: &str) -> Option<Fleet> {
    let (cluster, number) = host.rsplit_once("-node")?;
    number.parse::<u8>().ok()?;
    let fleet = fleet(environment, cluster)?;
    let there = fleet.nodes().ok()?.iter().any(|node| node.host == host);
    there.then_some(fleet)
}

/// Those of them that are known not to run. Multipass is not asked: it takes its time.
pub(crate) async fn stopped(environment: &Environment, fleet: &Fleet) -> Vec<String> {
    if !matches!(fleet.provider(), Ok(Some(Provider::Qemu))) {
        return Vec::new();
    }
    let states = fleet.states(&context(environment, progress::none())).await;
    let states = states.unwrap_or_default().into_iter();
    states
        .filter(|(_, state)| *state == NodeState::Stopped)
        .map(|(node, _)| node.host)
        .collect()
}

/// The file for `ssh -F` with which they have names, written where it is not so already; one for each
/// file that is to be read after it instead of the user's own.
pub(crate) fn config_file(
    environment: &Environment,
    after: Option<&Path>,
) -> Result<PathBuf, VmError> {
    let text = ssh_config::text(&ssh_hosts(&fleets(environment)?), after);
    let path = folder(environment).join(ssh_config::file_name(after));
    if std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        atomic_file::write(&path, text.as_bytes(), 0o600)?;
    }
    Ok(path)
}

/// Writes the files for ssh again after machines came, went or moved, and removes them with the last.
pub(crate) fn refresh(environment: &Environment) -> Result<(), VmError> {
    let folder = folder(environment);
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        // Those that are read with another file after them are written when they are wanted.
        if name.as_encoded_bytes().starts_with(b"ssh_config") {
            let path = entry.path();
            atomic_file::remove_if_there(&path).map_err(|source| VmError::Io {
                operation: "remove",
                path,
                source,
            })?;
        }
    }
    if fleets(environment)?.is_empty() {
        // Something of somebody else's in it keeps it.
        let _ = std::fs::remove_dir(&folder);
        return Ok(());
    }
    config_file(environment, None).map(drop)
}
