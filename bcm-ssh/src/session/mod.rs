//! One connection to one host, which everything else shares.

mod diagnose;
mod master;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command as Process, sync::Semaphore, time::timeout};

use crate::{
    BoxFuture, Command, ConnectError, Destination, ForwardError, ForwardedSocket, HostKey,
    HostKeyPolicy, Output, Privilege, Remote, RunError, bridge,
    execute::{self, Transport},
    output::tail,
    wrapper,
};

use master::Master;

/// How many commands run at a time on one connection; more wait for their turn. sshd takes ten
/// sessions a connection unless told otherwise (`MaxSessions`), of which the connection itself, the
/// end of an overdue command, and relays need some.
const SESSIONS: usize = 6;

/// ssh wants a host's name, though which host it is was settled by the master.
const ANY_HOST: &str = "bcm";

/// How to connect.
#[derive(Debug, Clone)]
pub struct SshOptions {
    pub(crate) host_keys: HostKeyPolicy,
    pub(crate) control_folder: PathBuf,
    pub(crate) ssh_config: Option<PathBuf>,
    pub(crate) known_hosts: Option<PathBuf>,
    pub(crate) identity: Option<PathBuf>,
    pub(crate) connect_deadline: Duration,
    pub(crate) alive_interval: Duration,
    pub(crate) program: PathBuf,
}

impl SshOptions {
    /// Believes the host keys that the policy says, and makes the connection's control socket in a
    /// folder of its own (mode 0700) inside `control_folder`, which has to exist and have a short
    /// path: `$XDG_RUNTIME_DIR` or `/tmp`.
    #[must_use]
    pub fn new(host_keys: HostKeyPolicy, control_folder: impl Into<PathBuf>) -> Self {
        Self {
            host_keys,
            control_folder: control_folder.into(),
            ssh_config: None,
            known_hosts: None,
            identity: None,
            connect_deadline: Duration::from_secs(30),
            alive_interval: Duration::from_secs(15),
            program: PathBuf::from("ssh"),
        }
    }

    /// Uses this configuration instead of the user's `ssh_config` and the system's.
    #[must_use]
    pub fn ssh_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.ssh_config = Some(path.into());
        self
    }

    /// Uses this `known_hosts` instead of the configured ones, the system's too.
    #[must_use]
    pub fn known_hosts(mut self, path: impl Into<PathBuf>) -> Self {
        self.known_hosts = Some(path.into());
        self
    }

    /// Offers this private key and no other.
    #[must_use]
    pub fn identity(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity = Some(path.into());
        self
    }

    /// How long connecting may take, from the name to a running shell; 30 s unless set.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// After this long without a word from the host, ssh asks whether it is still there, and gives
    /// the connection up when three questions go unanswered; 15 s unless set. Rounded up to
    /// seconds.
    #[must_use]
    pub fn alive_interval(mut self, interval: Duration) -> Self {
        self.alive_interval = interval;
        self
    }

    /// Runs this program instead of the `ssh` in `PATH`.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }
}

/// A host, connected by the system's OpenSSH.
///
/// There is one connection, opened by [`Ssh::connect`]; commands, files and forwarded sockets are
/// channels of it. It ends when the value is dropped, and also when this process is killed: the
/// connection hangs on a pipe of this process.
#[derive(Debug)]
pub struct Ssh {
    host: String,
    master: Master,
    control: Control,
    turns: Semaphore,
    sockets: AtomicU64,
}

/// The way to the master process.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    program: PathBuf,
    /// Removed, with what is in it, when the last user of the connection is gone.
    folder: Arc<TempDir>,
}

impl Control {
    /// Makes the folder, and checks that a socket in it can have a name.
    fn new(options: &SshOptions) -> Result<Self, ConnectError> {
        let folder = tempfile::Builder::new()
            .prefix("bcm-")
            .rand_bytes(8)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&options.control_folder)
            .map_err(|source| ConnectError::ControlFolder {
                folder: options.control_folder.clone(),
                source,
            })?;
        let control = Self {
            program: options.program.clone(),
            folder: Arc::new(folder),
        };
        // sun_path has 108 bytes with the final NUL, and ssh first binds NAME.RANDOM, 17 bytes more.
        if control.socket().as_os_str().len() + 17 > 107 {
            return Err(ConnectError::ControlFolderTooLong {
                folder: options.control_folder.clone(),
            });
        }
        Ok(control)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder().join("c")
    }

    /// `-S SOCKET`, in which `%` would start a token.
    fn socket_option(&self) -> String {
        self.socket().to_string_lossy().replace('%', "%%")
    }

    /// An `ssh` that can do nothing but talk to the master. The user's configuration was the
    /// master's business; here it could only start what nobody asked for.
    fn client(&self) -> Process {
        let mut client = Process::new(&self.program);
        client
            .env("LC_ALL", "C")
            .args(["-F", "none", "-S", &self.socket_option()])
            // Without its master it must not try a connection of its own.
            .args(["-o", "ControlMaster=no", "-o", "ProxyCommand=false"])
            .args(["-o", "BatchMode=yes", "-T"])
            .stdin(Stdio::null())
            // A Ctrl-C at the terminal is for BCM.
            .process_group(0)
            .kill_on_drop(true);
        client
    }
}

impl Ssh {
    /// Connects, and waits until the host runs commands.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; nothing is left of it.
    ///
    /// # Errors
    /// See [`ConnectError`]: each reason that ssh gives is told apart.
    pub async fn connect(
        destination: &Destination,
        options: &SshOptions,
    ) -> Result<Self, ConnectError> {
        let control = Control::new(options)?;
        let master = Master::start(destination, options, &control).await?;
        tracing::debug!(host = %destination, key = ?master.host_key(), "connected");
        Ok(Self {
            host: destination.to_string(),
            master,
            control,
            turns: Semaphore::new(SESSIONS),
            sockets: AtomicU64::new(0),
        })
    }

    /// The key that the host showed, for the user to see. With [`HostKey::added`] it was never seen
    /// before and is known from now on.
    #[must_use]
    pub fn host_key(&self) -> Option<&HostKey> {
        self.master.host_key()
    }

    /// Whether the connection is still there.
    pub async fn is_connected(&self) -> bool {
        let check = self
            .control
            .client()
            .args(["-O", "check", ANY_HOST])
            .output();
        matches!(timeout(Duration::from_secs(5), check).await, Ok(Ok(o)) if o.status.success())
    }

    /// Closes the connection, and waits for that; at most five seconds. What still runs there loses
    /// its stdin and stdout.
    pub async fn close(self) {
        self.master.close().await;
    }

    async fn forward(
        &self,
        there: &Path,
        relay: Option<bridge::Relay>,
    ) -> Result<ForwardedSocket, ForwardError> {
        let number = self.sockets.fetch_add(1, Ordering::Relaxed);
        let here = self.control.folder().join(format!("s{number}"));
        let token = |path: &Path| path.to_string_lossy().replace('%', "%%");
        let mut client = self.control.client();
        client
            .args(["-O", "forward", "-L"])
            .arg(format!("{}:{}", token(&here), token(there)))
            .arg(ANY_HOST);
        let output = timeout(bridge::LIMIT, client.output())
            .await
            .map_err(|_| ForwardError::Timeout {
                host: self.host.clone(),
                path: there.to_owned(),
                limit: bridge::LIMIT,
            })?
            .map_err(|source| ForwardError::Run {
                host: self.host.clone(),
                path: there.to_owned(),
                source: Box::new(RunError::Io {
                    host: self.host.clone(),
                    command: "ssh -O forward".to_owned(),
                    source,
                }),
            })?;
        if !output.status.success() {
            return Err(ForwardError::Refused {
                host: self.host.clone(),
                path: there.to_owned(),
                message: tail(&String::from_utf8_lossy(&output.stderr)),
            });
        }
        Ok(ForwardedSocket::forwarded(here, relay))
    }
}

impl Transport for Ssh {
    fn host(&self) -> &str {
        &self.host
    }

    fn process(&self, words: &[String]) -> Process {
        let mut client = self.control.client();
        client.args([ANY_HOST, "--"]).arg(wrapper::line(words));
        client
    }

    fn broken(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async {
            if self.is_connected().await {
                None
            } else {
                Some(self.master.last_words())
            }
        })
    }
}

impl Remote for Ssh {
    fn host(&self) -> &str {
        &self.host
    }

    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, RunError>> {
        Box::pin(async move {
            // Never closed, so there is always a turn.
            let _turn = self.turns.acquire().await;
            execute::run(self, &command).await
        })
    }

    fn forward_unix<'a>(
        &'a self,
        socket: &'a Path,
        privilege: Privilege,
    ) -> BoxFuture<'a, Result<ForwardedSocket, ForwardError>> {
        Box::pin(async move {
            let relay = bridge::reach(self, self, socket, privilege).await?;
            let there = relay
                .as_ref()
                .map_or(socket, |relay| &relay.socket)
                .to_owned();
            self.forward(&there, relay).await
        })
    }
}
