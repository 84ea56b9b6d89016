//! What can go wrong with virtual machines.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bcm_core::atomic_file::AtomicFileError;
use bcm_core::digest::Sha256;
use bcm_core::http::HttpError;
use bcm_core::lock::LockError;

use crate::seed::SeedError;

/// Virtual machines could not be made, started, stopped or taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// Nothing on this machine makes virtual machines.
    #[error("nothing on this machine makes virtual machines: {missing}; {install}")]
    NoProvider {
        /// What is not there.
        missing: String,
        /// The commands that install it.
        install: String,
    },
    /// Programs are missing.
    #[error("{what} needs programs that are not there; install them: apt-get install {}", packages.join(" "))]
    Missing {
        /// What needs them.
        what: &'static str,
        /// Debian's packages that have them.
        packages: Vec<&'static str>,
    },
    /// QEMU is too old.
    #[error("QEMU {version} is too old: machines need 7.2 or newer (Debian 12, Ubuntu 24.04)")]
    OldQemu {
        /// Its version.
        version: String,
    },
    /// Something is asked for that cannot be meant.
    #[error("{0}")]
    Wanted(String),
    /// An image cannot be used.
    #[error("{image} cannot be used: {why}")]
    Image {
        /// The file or address.
        image: String,
        /// Why not.
        why: String,
    },
    /// An image is not the one that was meant.
    #[error("{image} is not what was asked for: its SHA-256 is {found}, not {expected}")]
    Checksum {
        /// The file or address.
        image: String,
        /// What was expected.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// An image could not be downloaded.
    #[error("could not download the image {url}")]
    Download {
        /// From where.
        url: String,
        /// Why not.
        source: HttpError,
    },
    /// There is not enough room.
    #[error(
        "{} has {} GiB free, and the machines' disks may grow to {} GiB; make room, or ask for smaller ones",
        folder.display(), free >> 30, wanted >> 30
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        wanted: u64,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {said}")]
    Program {
        /// Which.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// A program took too long.
    #[error("{program} did not end within {} s", waited.as_secs())]
    Slow {
        /// Which.
        program: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A program could not be run.
    #[error("could not run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A machine ended by itself.
    #[error("the machine {host} ended at once: {said}")]
    Died {
        /// Which.
        host: String,
        /// QEMU's words, or the console's end.
        said: String,
    },
    /// A machine did not boot.
    #[error(
        "the machine {host} gave no sign of its SSH server within {} s; the console's end:\n{tail}\nall of it: {}",
        waited.as_secs(), console.display()
    )]
    Boot {
        /// Which.
        host: String,
        /// How long it was waited for.
        waited: Duration,
        /// The end of its console.
        tail: String,
        /// Where all of the console is.
        console: PathBuf,
    },
    /// QEMU does not do what it is told.
    #[error("QEMU, which runs {host}, refused {command}: {said}")]
    Qmp {
        /// The machine.
        host: String,
        /// What it was told.
        command: String,
        /// Its words.
        said: String,
    },
    /// A process that was to end is still there.
    #[error("the process {pid}, which runs {host}, does not end")]
    Unending {
        /// The machine.
        host: String,
        /// The process.
        pid: i32,
    },
    /// Somebody else is at it.
    #[error("another bcm works on these virtual machines")]
    Busy(#[source] LockError),
    /// What was kept is not what was written.
    #[error("{} is damaged; `bcm cluster destroy` takes the machines away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file could not be worked on.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not keep what belongs to the machines")]
    Write(#[from] AtomicFileError),
    /// A seed volume could not be made.
    #[error("could not make the volume for cloud-init")]
    Seed(#[from] SeedError),
    /// What Multipass said is not understood.
    #[error("what multipass says of {host} is not understood: {said}")]
    Multipass {
        /// The machine.
        host: String,
        /// Its words.
        said: String,
    },
}

impl VmError {
    /// For `map_err`: `operation` failed on `path`.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
