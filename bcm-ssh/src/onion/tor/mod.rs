//! A Tor of the user's own: it needs no root, changes nothing of the system's Tor, and ends by itself.
//!
//! Tor takes a while to find its way, and several commands may want it at the same time. So it is not
//! each command's child but that of a small process, [`keep`], which runs apart from them: the first command that
//! wants Tor starts it, every command that uses it holds a [`Lease`], and when nobody has held one
//! for a while it ends Tor and itself. SOCKS and leases are unix sockets in a folder that only the
//! user may enter, for who can connect there is an authorised client.

mod keeper;
mod lease;

use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

pub use keeper::keep;
pub use lease::{Lease, lease, stop};

use super::socks::SocksAddress;

/// Such a Tor, running or not.
#[derive(Debug, Clone)]
pub struct OwnTor {
    folder: PathBuf,
    auth: PathBuf,
    program: PathBuf,
    include: Option<PathBuf>,
}

/// There is no Tor of the user's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorError {
    /// Its folder cannot be used.
    #[error("cannot use the folder of BCM's Tor, {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its folder has too long a path.
    #[error(
        "{} is too long a path for a socket in it; XDG_STATE_HOME moves it",
        folder.display()
    )]
    FolderTooLong {
        /// The folder.
        folder: PathBuf,
    },
    /// What runs it could not be started.
    #[error("cannot start what keeps BCM's Tor")]
    Keeper(#[source] io::Error),
    /// Tor could not be started, or ended.
    #[error("Tor does not run; it said:\n{0}")]
    Ended(String),
    /// It found no way into its network in time.
    #[error("Tor is not ready after {} s; last seen: {last_seen}", limit.as_secs())]
    Late {
        /// The deadline.
        limit: Duration,
        /// What it said last.
        last_seen: String,
    },
}

impl OwnTor {
    /// One with its data in `folder`, and clients' keys, files `….auth_private`, in `auth`. Both are
    /// made when it starts.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, auth: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            auth: auth.into(),
            program: "tor".into(),
            include: None,
        }
    }

    /// Lets Tor read this file too, such as one that names bridges.
    #[must_use]
    pub fn include(mut self, path: impl Into<PathBuf>) -> Self {
        self.include = Some(path.into());
        self
    }

    /// Runs this program instead of the `tor` in `PATH`.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }

    /// Where it takes SOCKS connections while it runs.
    #[must_use]
    pub fn socks(&self) -> SocksAddress {
        SocksAddress::Unix(self.folder.join("socks"))
    }

    fn lease_socket(&self) -> PathBuf {
        self.folder.join("lease")
    }

    /// Held by whoever keeps it.
    fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    fn check(&self) -> Result<(), TorError> {
        // sun_path has 108 bytes with the final NUL.
        if self.lease_socket().as_os_str().len() > 107 {
            return Err(TorError::FolderTooLong {
                folder: self.folder.clone(),
            });
        }
        Ok(())
    }

    fn torrc(&self) -> String {
        let mut torrc = format!(
            "# Made by bcm each time it starts Tor.\n\
             DataDirectory {}\nClientOnly 1\nSocksPort unix:{} ExtendedErrors\n\
             ClientOnionAuthDir {}\nLog notice stdout\n",
            quoted(&self.folder.join("data")),
            quoted(&self.folder.join("socks")),
            quoted(&self.auth),
        );
        if let Some(include) = &self.include {
            let _ = writeln!(torrc, "%include {}", quoted(include));
        }
        torrc
    }
}

/// A path as tor(1) wants it: in quotes, as C has them.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
