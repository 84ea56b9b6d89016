//! What can go wrong, one enum an operation.

use std::{io, path::PathBuf, time::Duration};

use crate::{HostKey, PinnedKey};

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The `ssh` program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder for the connection's control socket could not be made.
    #[error("cannot make a folder for the connection in {}", folder.display())]
    ControlFolder {
        /// The folder it should be made in.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder for the control socket has too long a path.
    #[error(
        "{} is too long a folder for a control socket; a shorter one, such as /tmp, works",
        folder.display()
    )]
    ControlFolderTooLong {
        /// The folder.
        folder: PathBuf,
    },
    /// The pinned key is not a key.
    #[error("{0:?} is neither a public key (ssh-ed25519 AAAA…) nor a fingerprint (SHA256:…)")]
    Pin(String),
    /// The host's name has no address.
    #[error("cannot find the address of {host}: {message}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver says.
        message: String,
    },
    /// No answer from that address.
    #[error("cannot reach {host}: {message}; is the machine on, and is this the right address?")]
    Unreachable {
        /// The host.
        host: String,
        /// What the network says.
        message: String,
    },
    /// The machine answers, and nothing listens on that port.
    #[error(
        "{host} is there, but refuses connections{}; does sshd run, and on that port?",
        port.map(|p| format!(" on port {p}")).unwrap_or_default()
    )]
    Refused {
        /// The host.
        host: String,
        /// The port, where ssh says it.
        port: Option<u16>,
    },
    /// The host's key is not known.
    #[error(
        "the host key of {host} is not known{}; compare it with the machine's own (ssh-keygen -lf \
         /etc/ssh/ssh_host_ed25519_key.pub there), then accept new keys, pin it, or add it to \
         known_hosts",
        offered.as_ref().map(|k| format!(" ({k})")).unwrap_or_default()
    )]
    UnknownHostKey {
        /// The host.
        host: String,
        /// The key it showed.
        offered: Option<HostKey>,
    },
    /// The host shows another key than the one that is known.
    #[error(
        "the host key of {host} has changed{}{}; if the machine was not reinstalled, somebody may \
         be in between. {}",
        known.as_ref().map(|k| format!(" from {k}")).unwrap_or_default(),
        offered.as_ref().map(|k| format!(" to {k}")).unwrap_or_default(),
        location.as_ref().map(|l| format!("The known key is in {l}")).unwrap_or_default()
    )]
    HostKeyChanged {
        /// The host.
        host: String,
        /// The key that was known.
        known: Option<Box<HostKey>>,
        /// The key it showed.
        offered: Option<Box<HostKey>>,
        /// Where the known key is, `FILE:LINE`.
        location: Option<String>,
    },
    /// The host shows another key than the pinned one.
    #[error(
        "{host} does not show the pinned key {pinned}{}",
        offered.as_ref().map(|k| format!(", but {k}")).unwrap_or_default()
    )]
    PinMismatch {
        /// The host.
        host: String,
        /// The pinned key.
        pinned: PinnedKey,
        /// The key it showed.
        offered: Option<HostKey>,
    },
    /// The host does not let the user in. sshd does not say which of the reasons it is.
    #[error(
        "{host} does not let {} in ({methods}): there is no such user, or none of this side's keys \
         is in that user's authorized_keys",
        user.as_deref().unwrap_or("the user")
    )]
    Denied {
        /// The host.
        host: String,
        /// The user, where ssh says it.
        user: Option<String>,
        /// The ways of authentication that the host offers.
        methods: String,
    },
    /// The user is let in, but has no shell that runs commands.
    #[error("{host} lets the user in, but runs no command: {message}")]
    NoShell {
        /// The host.
        host: String,
        /// What came instead.
        message: String,
    },
    /// The host or a proxy hung up.
    #[error("{host} closed the connection: {message}")]
    Closed {
        /// The host.
        host: String,
        /// What ssh says.
        message: String,
    },
    /// A proxy that says why, as [`PROXY_SAYS`](crate::onion::PROXY_SAYS) has it, found no way.
    #[error("cannot reach {host}: {message}")]
    Proxy {
        /// The host.
        host: String,
        /// What the proxy says.
        message: String,
    },
    /// A file of ssh's own configuration is wrong.
    #[error("ssh cannot use its configuration: {0}")]
    Configuration(String),
    /// The deadline passed.
    #[error(
        "no connection to {host} within {limit:?} (the connect deadline); last seen: {last_seen}"
    )]
    Timeout {
        /// The host.
        host: String,
        /// The deadline.
        limit: Duration,
        /// ssh's last words.
        last_seen: String,
    },
    /// Something else, in ssh's words.
    #[error("cannot connect to {host}: {message}")]
    Other {
        /// The host.
        host: String,
        /// What ssh says.
        message: String,
    },
}

/// Why a command could not be run, or was not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The command cannot be run anywhere.
    #[error("`{command}` cannot be run: {flaw}")]
    Invalid {
        /// The command.
        command: String,
        /// What is wrong with it.
        flaw: String,
    },
    /// The local process could not be started, or its pipes failed.
    #[error("cannot run `{command}` on {host}")]
    Io {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The other side did not start it.
    #[error("{host} did not start `{command}`: {message}")]
    NotStarted {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// What was said instead.
        message: String,
    },
    /// There is no such program.
    #[error("{host} has no {program}")]
    NotFound {
        /// The host.
        host: String,
        /// The program.
        program: String,
    },
    /// The user needs a password for sudo.
    #[error(
        "sudo on {host} asks for a password; let the user run it without (NOPASSWD in \
         /etc/sudoers.d), or connect as root"
    )]
    SudoPassword {
        /// The host.
        host: String,
    },
    /// The user may not use sudo, or there is none.
    #[error("the user on {host} cannot become root: {message}")]
    NoSudo {
        /// The host.
        host: String,
        /// What sudo says.
        message: String,
    },
    /// The deadline passed.
    #[error(
        "`{command}` on {host} did not end within {limit:?}; {}{}",
        if *ended { "it was ended" } else { "it may still run there" },
        if said.is_empty() { String::new() } else { format!("; it said last: {said}") }
    )]
    Timeout {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// The deadline.
        limit: Duration,
        /// Whether the program itself was seen to end after that.
        ended: bool,
        /// The end of what it wrote.
        said: String,
    },
    /// It wrote more than [`Command::output_limit`](crate::Command::output_limit).
    #[error("`{command}` on {host} wrote more than {limit} bytes")]
    TooMuchOutput {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke; whether the command went on is not known.
    #[error("the connection to {host} broke while `{command}` ran: {message}")]
    Lost {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// What ssh says.
        message: String,
    },
    /// It ended with an exit status other than 0 ([`Output::or_error`](crate::Output::or_error)).
    #[error("`{command}` on {host} ended with {status}: {said}")]
    Failed {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// The exit status.
        status: i32,
        /// The end of what it wrote.
        said: String,
    },
}

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The path cannot be passed on: it is not absolute, not UTF-8, or has NUL in it.
    #[error("{path:?} is not an absolute path in UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{host} has no file {}", path.display())]
    NotFound {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than what the caller takes.
    #[error("{} on {host} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The command that does it failed.
    #[error("cannot {operation} {} on {host}", path.display())]
    Run {
        /// `write` or `read`.
        operation: &'static str,
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<RunError>,
    },
}

/// Why a unix socket could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The path cannot be passed on to ssh: it is not absolute, not UTF-8, or contains a colon.
    #[error("{path:?} cannot be forwarded: it is not an absolute path in UTF-8 without colons")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// There is no socket.
    #[error("{host} has no unix socket {}", path.display())]
    NoSocket {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
    },
    /// The user may not connect to it.
    #[error("the user on {host} may not connect to {}", path.display())]
    Denied {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
    },
    /// The folder for the socket on this side could not be made.
    #[error("cannot make a folder for a socket in {}", folder.display())]
    Folder {
        /// The folder it should be made in.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A command that is needed for it failed.
    #[error("cannot reach {} on {host}", path.display())]
    Run {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<RunError>,
    },
    /// ssh or the host refused.
    #[error("cannot forward {} of {host}: {message}", path.display())]
    Refused {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
        /// What was said.
        message: String,
    },
    /// The deadline passed.
    #[error(
        "{} of {host} was not forwarded within {limit:?}",
        path.display()
    )]
    Timeout {
        /// The host.
        host: String,
        /// The path.
        path: PathBuf,
        /// The deadline.
        limit: Duration,
    },
}
