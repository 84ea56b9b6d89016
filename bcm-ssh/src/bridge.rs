//! Reaching a unix socket that only root may connect to, for a user who may use sudo.
//!
//! SSH forwards to unix sockets as the user. Where that is not enough, a relay runs as root on that
//! machine for as long as its stdin is open, so it ends with the connection. It listens in a folder
//! that only the user may enter. It is written for the perl that every Debian and Ubuntu has
//! (package perl-base, which is essential).

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdin},
    time::timeout,
};

use crate::{
    Command, ForwardError, Privilege, Remote, RunError,
    execute::{self, OnDrop, Transport},
    output::tail,
};

/// `$1`: the relay, `$2`: the socket. As the user, so that the folder is the user's.
const SCRIPT: &str = r#"umask 077
folder=$(mktemp -d /tmp/bcm-XXXXXXXX)
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT TERM
sudo -n -- perl -e "$1" "$2" "$folder/s" "$(id -u)"
"#;

const RELAY: &str = include_str!("relay.pl");

/// The checks of [`reach`] and the start of a relay are a matter of moments.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Its socket, on the machine where it runs.
    pub(crate) socket: PathBuf,
    _stdin: Option<ChildStdin>,
    _child: Child,
}

/// Finds out how the user gets to a socket: directly (`None`), or through a relay, which is started
/// if it is needed and allowed.
pub(crate) async fn reach(
    remote: &dyn Remote,
    transport: &dyn Transport,
    socket: &Path,
    privilege: Privilege,
) -> Result<Option<Relay>, ForwardError> {
    let host = || remote.host().to_owned();
    let Some(path) = socket
        .to_str()
        .filter(|text| socket.is_absolute() && !text.contains([':', '\0', '\n']))
    else {
        return Err(ForwardError::Path {
            path: socket.to_owned(),
        });
    };
    let failed = |source| ForwardError::Run {
        host: host(),
        path: socket.to_owned(),
        source: Box::new(source),
    };
    let test = |privilege| {
        // Connecting needs both, unix(7).
        let script = "[ -S \"$1\" ] || exit 3; [ -r \"$1\" ] && [ -w \"$1\" ] || exit 4";
        Command::script(script, [path])
            .privilege(privilege)
            .deadline(LIMIT)
    };
    let as_user = remote.run(test(Privilege::User)).await.map_err(failed)?;
    if as_user.success() {
        return Ok(None);
    }
    if privilege == Privilege::User {
        // The user may not even see it.
        return Err(if as_user.status == 3 {
            ForwardError::NoSocket {
                host: host(),
                path: socket.to_owned(),
            }
        } else {
            ForwardError::Denied {
                host: host(),
                path: socket.to_owned(),
            }
        });
    }
    let as_root = remote.run(test(Privilege::Root)).await.map_err(failed)?;
    if !as_root.success() {
        return Err(ForwardError::NoSocket {
            host: host(),
            path: socket.to_owned(),
        });
    }
    start(transport, path).await.map(Some)
}

async fn start(transport: &dyn Transport, path: &str) -> Result<Relay, ForwardError> {
    let host = || transport.host().to_owned();
    let command = Command::script(SCRIPT, [RELAY, path]);
    // Its script removes the folder when it ends, so it must not be killed.
    let started = execute::start(transport, &command, Stdio::piped(), OnDrop::EndOfStdin);
    let (mut child, _) = started.map_err(|source| ForwardError::Run {
        host: host(),
        path: path.into(),
        source: Box::new(source),
    })?;
    let mut line = String::new();
    let read = async {
        if let Some(stdout) = child.stdout.take() {
            // The socket's path, which this side's own script made.
            let mut stdout = BufReader::new(stdout).take(1024);
            let _ = stdout.read_line(&mut line).await;
        }
    };
    if timeout(LIMIT, read).await.is_err() {
        return Err(ForwardError::Timeout {
            host: host(),
            path: path.into(),
            limit: LIMIT,
        });
    }
    if let Some(socket) = line.strip_prefix("ready ") {
        let relay = Relay {
            socket: PathBuf::from(socket.trim_end()),
            _stdin: child.stdin.take(),
            _child: child,
        };
        return Ok(relay);
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What comes in time is enough.
        let _ = timeout(
            Duration::from_secs(2),
            stderr.take(64 << 10).read_to_end(&mut said),
        )
        .await;
    }
    let said = String::from_utf8_lossy(&said);
    let missing = said.contains("perl: command not found") || said.contains("perl: not found");
    Err(ForwardError::Run {
        host: host(),
        path: path.into(),
        source: Box::new(if missing {
            RunError::NotFound {
                host: host(),
                program: "perl".to_owned(),
            }
        } else {
            RunError::NotStarted {
                host: host(),
                command: "perl".to_owned(),
                message: tail(&said),
            }
        }),
    })
}
