//! Keys, made by the system's `ssh-keygen`.

use std::path::Path;
use std::time::Duration;

use super::VmError;
use super::program::{self, Programs};
use crate::cloud_init::HostKey;

/// Making a key takes no time, unless there is no randomness.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes an Ed25519 key in the file `path`, mode 0600, with the public half beside it, unless both
/// are there.
pub(crate) async fn ensure(programs: &Programs, path: &Path, comment: &str) -> Result<(), VmError> {
    let public = path.with_extension("pub");
    if path.is_file() && public.is_file() {
        return Ok(());
    }
    let keygen = programs.find("ssh-keygen").ok_or(VmError::Missing {
        what: "logging in to machines",
        packages: vec!["openssh-client"],
    })?;
    // ssh-keygen asks before it writes over a file.
    for half in [path, &public] {
        bcm_core::atomic_file::remove_if_there(half).map_err(VmError::io("remove", half))?;
    }
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    arguments.push(path.to_string_lossy().into_owned());
    program::run(&keygen, &arguments, b"", LIMIT, |_| {}).await?;
    Ok(())
}

/// The public half of the key `path`, a line without its end.
pub(crate) fn public(path: &Path) -> Result<String, VmError> {
    let path = path.with_extension("pub");
    let text = std::fs::read_to_string(&path).map_err(VmError::io("read", &path))?;
    Ok(text.trim_end().to_owned())
}

/// Both halves.
pub(crate) fn host_key(path: &Path) -> Result<HostKey, VmError> {
    Ok(HostKey {
        private: std::fs::read_to_string(path).map_err(VmError::io("read", path))?,
        public: public(path)?,
    })
}
