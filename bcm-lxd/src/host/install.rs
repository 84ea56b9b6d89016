//! Puts an engine onto a machine, and takes it away again.

use std::time::Duration;

use bcm_ssh::{Command, Privilege, Remote, RunError};

use crate::flavour::Flavour;

use super::EnginePackages;
use super::machine::run_ok;

/// An engine could not be installed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The machine's package manager failed.
    #[error("{host}: could not {operation} {flavour}")]
    Packages {
        /// The machine.
        host: String,
        /// `install` or `remove`.
        operation: &'static str,
        /// The engine.
        flavour: Flavour,
        /// Its words.
        source: RunError,
    },
}

/// Package lists and mirrors may be slow; a machine that hangs is given up after this.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The functions that both scripts use.
pub(crate) const PACKAGES: &str = include_str!("packages.sh");
const APT_INSTALL: &str = concat!(include_str!("packages.sh"), include_str!("apt-install.sh"));
const SNAP_INSTALL: &str = include_str!("snap-install.sh");
const REMOVE: &str = concat!(include_str!("packages.sh"), include_str!("remove.sh"));

/// Installs `flavour`. Running it again finishes what was interrupted.
pub(super) async fn install(
    remote: &dyn Remote,
    host: &str,
    flavour: Flavour,
    from: &EnginePackages,
) -> Result<(), InstallError> {
    let command = match from {
        EnginePackages::Installed { .. } => return Ok(()),
        EnginePackages::Apt { packages, .. } => {
            let mut words = vec![flavour.as_str()];
            words.extend(packages.iter().map(String::as_str));
            Command::script(APT_INSTALL, words)
        }
        EnginePackages::Snap => Command::script(SNAP_INSTALL, [flavour.as_str()]),
    };
    run_ok(remote, command.privilege(Privilege::Root).deadline(LIMIT))
        .await
        .map(|_| ())
        .map_err(|source| InstallError::Packages {
            host: host.to_owned(),
            operation: "install",
            flavour,
            source,
        })
}

/// Notes on the machine that BCM made `what`, such as `bridge bcmbr0` or `zfs bcm`, so that it is
/// found again even when the engine no longer answers.
///
/// # Errors
/// The note could not be written.
pub async fn note_made(remote: &dyn Remote, what: &str) -> Result<(), RunError> {
    let command = Command::script(
        "set -eu\nnotes=/var/lib/bcm-host/cluster\nmkdir -p \"$notes\"\ntouch \"$notes/made\"\n\
         grep -qxF -- \"$1\" \"$notes/made\" || printf '%s\\n' \"$1\" >>\"$notes/made\"\n",
        [what],
    );
    run_ok(remote, command.privilege(Privilege::Root))
        .await
        .map(|_| ())
}

/// Removes what preparing the host brought, with the engine's state and BCM's notes. A machine that BCM
/// installed nothing on keeps its engine.
///
/// # Errors
/// The package manager failed.
pub async fn remove(
    remote: &dyn Remote,
    host: &str,
    flavour: Flavour,
    keep_engine: bool,
) -> Result<(), InstallError> {
    let keep = if keep_engine { "keep" } else { "remove" };
    let command = Command::script(REMOVE, [flavour.as_str(), keep]);
    run_ok(remote, command.privilege(Privilege::Root).deadline(LIMIT))
        .await
        .map(|_| ())
        .map_err(|source| InstallError::Packages {
            host: host.to_owned(),
            operation: "remove",
            flavour,
            source,
        })
}
