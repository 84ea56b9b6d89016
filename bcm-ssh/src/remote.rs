//! The seam: what BCM does to a machine, wherever it is.

use std::{fmt, future::Future, path::Path, pin::Pin};

use crate::{
    Command, FileError, ForwardError, ForwardedSocket, Output, Privilege, ReadFile, RunError,
    Upload, files,
};

/// A future on the heap, so that `dyn Remote` works.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A machine that commands can be run on.
///
/// [`Ssh`](crate::Ssh) and [`Local`](crate::Local) are the real ones. A test writes its own: only
/// [`host`](Remote::host), [`run`](Remote::run) and [`forward_unix`](Remote::forward_unix) have to
/// be there, files go through `run`.
pub trait Remote: fmt::Debug + Send + Sync {
    /// The machine, as messages call it.
    fn host(&self) -> &str;

    /// Runs a command to its end and gives its exit status, whatever that is, and what it wrote.
    ///
    /// When the deadline passes, the program is told to end (SIGTERM, then SIGKILL, to its process
    /// group), and the error says whether it was seen to.
    ///
    /// # Cancel safety
    /// Dropping the future ends what runs on this side. Over SSH the program itself goes on: it
    /// sees the end of stdin, and SIGPIPE when it writes.
    ///
    /// # Errors
    /// When it could not be run to its end; see [`RunError`].
    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, RunError>>;

    /// Makes a unix socket of that machine one of this machine, until the returned value is
    /// dropped. With [`Privilege::Root`] also one that only root may connect to there: a small
    /// relay then runs there by sudo, behind a socket that only the user may connect to.
    ///
    /// # Errors
    /// When there is no such socket, the user may not connect to it, or the other side refuses.
    fn forward_unix<'a>(
        &'a self,
        socket: &'a Path,
        privilege: Privilege,
    ) -> BoxFuture<'a, Result<ForwardedSocket, ForwardError>>;

    /// Writes a file atomically, with its mode.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the old file; a temporary one beside it is removed.
    ///
    /// # Errors
    /// When it could not be written; the old file is still there then.
    fn upload(&self, file: Upload) -> BoxFuture<'_, Result<(), FileError>> {
        Box::pin(files::upload(self, file))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is larger than the limit.
    fn read_file(&self, file: ReadFile) -> BoxFuture<'_, Result<Vec<u8>, FileError>> {
        Box::pin(files::read(self, file))
    }
}
