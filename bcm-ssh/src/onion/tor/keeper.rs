//! The side of the process that runs Tor.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bcm_core::lock::{FolderLock, LockError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    process::{Child, Command},
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{OwnTor, TorError};

/// How many of Tor's last lines are kept for when it fails.
const LINES: usize = 8;

/// How long the first lease may be in coming.
const FIRST: Duration = Duration::from_secs(60);

/// How long whoever waits for Tor has to ask why it failed.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long reading the settings again may take.
const RELOAD: Duration = Duration::from_secs(10);

/// What is known of Tor.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// On its way, with its words.
    Boot(String),
    Ready,
    /// Its last lines, with tabs between them.
    Failed(String),
}

impl State {
    fn line(&self) -> String {
        match self {
            Self::Boot(text) => format!("boot {text}\n"),
            Self::Ready => "ready\n".to_owned(),
            Self::Failed(lines) => format!("failed {lines}\n"),
        }
    }
}

/// Runs Tor until nobody has held a [`Lease`](super::Lease) for `idle`, or it ends. Returns at once
/// when another process does so already.
///
/// # Errors
/// Its folder cannot be used. That Tor fails is told to those who hold leases.
pub async fn keep(tor: &OwnTor, idle: Duration) -> Result<(), TorError> {
    tor.check()?;
    let failed = |source| TorError::Folder {
        folder: tor.folder.clone(),
        source,
    };
    for folder in [&tor.folder, &tor.auth] {
        private_folder(folder).map_err(failed)?;
    }
    let _lock = match FolderLock::acquire(&tor.lock()) {
        Ok(lock) => lock,
        Err(LockError::Io { source, .. }) => return Err(failed(source)),
        Err(_) => return Ok(()),
    };
    let _ = fs::remove_file(tor.lease_socket());
    let listener = UnixListener::bind(tor.lease_socket()).map_err(failed)?;
    let (state, _) = watch::channel(State::Boot("starting".to_owned()));
    let state = Arc::new(state);
    let running = match start(tor) {
        Ok(child) => Some(child),
        Err(error) => {
            let program = tor.program.display();
            state.send_replace(State::Failed(format!("cannot start {program}: {error}")));
            None
        }
    };
    let pid = running.as_ref().and_then(Child::id);
    let (loaded, _) = watch::channel(0);
    let loaded = Arc::new(loaded);
    let reload = Arc::new(Reload {
        pid,
        loaded: loaded.subscribe(),
        seen: Mutex::new(stamp(&tor.auth)),
    });
    let reading = running.map(|child| tokio::spawn(read(child, Arc::clone(&state), loaded)));
    let leases = Arc::new(());
    let (stop, mut stopped) = mpsc::channel::<()>(1);
    let mut watching = state.subscribe();
    // Whoever started it may need a moment to come.
    let mut quiet = idle.max(FIRST);
    loop {
        let failed = matches!(*watching.borrow_and_update(), State::Failed(_));
        if failed {
            quiet = quiet.min(FAREWELL);
        }
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let tenant = Tenant {
                    state: state.subscribe(),
                    reload: Arc::clone(&reload),
                    auth: tor.auth.clone(),
                    stop: stop.clone(),
                    _lease: Arc::clone(&leases),
                };
                tokio::spawn(tenant.serve(stream));
                quiet = idle;
            },
            () = nobody(&leases, quiet) => break,
            _ = stopped.recv() => break,
            _ = watching.changed(), if !failed => {}
        }
    }
    // Nobody new finds it from here on.
    let _ = fs::remove_file(tor.lease_socket());
    drop(listener);
    if let Some(reading) = reading {
        end(pid, reading).await;
    }
    Ok(())
}

/// Ends Tor, and waits until it writes nothing any more.
async fn end(pid: Option<u32>, mut reading: JoinHandle<()>) {
    for signal in [Signal::TERM, Signal::KILL] {
        if reading.is_finished() {
            return;
        }
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
        if timeout(Duration::from_secs(3), &mut reading).await.is_ok() {
            return;
        }
    }
}

/// Waits until there was no lease for `quiet` without a break.
async fn nobody(leases: &Arc<()>, quiet: Duration) {
    let mut since = Instant::now();
    loop {
        // One of them is the keeper's own.
        if Arc::strong_count(leases) > 1 {
            since = Instant::now();
        } else if since.elapsed() >= quiet {
            return;
        }
        sleep(quiet.min(Duration::from_millis(500))).await;
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn start(tor: &OwnTor) -> io::Result<Child> {
    let torrc = tor.folder.join("torrc");
    fs::write(&torrc, tor.torrc())?;
    Command::new(&tor.program)
        .args(["--defaults-torrc", "/dev/null", "-f"])
        .arg(&torrc)
        // Should this process be killed, Tor notices.
        .args(["__OwningControllerProcess", &std::process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// Follows what Tor says, to its end.
async fn read(mut child: Child, state: Arc<watch::Sender<State>>, loaded: Arc<watch::Sender<u32>>) {
    let mut last = VecDeque::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(text) = line.split("Bootstrapped ").nth(1) {
                state.send_replace(match text.starts_with("100%") {
                    true => State::Ready,
                    false => State::Boot(text.to_owned()),
                });
            } else if line.contains("Read configuration file") {
                loaded.send_modify(|times| *times += 1);
            } else if let Some(text) = line.split("[warn] ").nth(1) {
                state.send_if_modified(|state| match state {
                    State::Boot(before) => {
                        text.clone_into(before);
                        true
                    }
                    _ => false,
                });
            }
            if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line.replace('\t', " "));
        }
    }
    let _ = child.wait().await;
    let said: Vec<String> = last.into();
    state.send_replace(State::Failed(said.join("\t")));
}

/// Keys come and go while Tor runs; it reads them when it is told to.
struct Reload {
    pid: Option<u32>,
    /// How often it has read its settings.
    loaded: watch::Receiver<u32>,
    seen: Mutex<Stamp>,
}

/// Files' names, numbers and times of change.
type Stamp = Vec<(OsString, Option<(u64, SystemTime)>)>;

/// What keys there are.
fn stamp(auth: &Path) -> Stamp {
    let mut files: Stamp = fs::read_dir(auth)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let of = entry.metadata().ok();
            let of = of.and_then(|of| Some((of.ino(), of.modified().ok()?)));
            (entry.file_name(), of)
        })
        .collect();
    files.sort();
    files
}

/// One who uses Tor.
struct Tenant {
    state: watch::Receiver<State>,
    reload: Arc<Reload>,
    auth: PathBuf,
    stop: mpsc::Sender<()>,
    _lease: Arc<()>,
}

impl Tenant {
    /// Tells how Tor is, until the other side hangs up.
    async fn serve(mut self, mut stream: UnixStream) {
        let (mut from, mut to) = stream.split();
        let telling = async {
            loop {
                let state = self.state.borrow_and_update().clone();
                if state == State::Ready {
                    self.reload.catch_up(&self.auth).await;
                }
                to.write_all(state.line().as_bytes()).await?;
                if self.state.changed().await.is_err() {
                    return io::Result::Ok(());
                }
            }
        };
        let listening = async {
            let mut word = [0; 5];
            // The end of the stream is an answer as well.
            if from.read_exact(&mut word).await.is_ok() && &word == b"stop\n" {
                let _ = self.stop.send(()).await;
            }
        };
        tokio::select! {
            _ = telling => {}
            () = listening => {}
        }
    }
}

impl Reload {
    /// Lets Tor read the keys again where they have changed.
    async fn catch_up(&self, auth: &Path) {
        let mut seen = self.seen.lock().await;
        let now = stamp(auth);
        if *seen != now
            && let Some(pid) = self.pid.and_then(|pid| Pid::from_raw(pid.cast_signed()))
        {
            let mut loaded = self.loaded.clone();
            loaded.mark_unchanged();
            let _ = kill_process(pid, Signal::HUP);
            // It says so, and then reads all of it before it looks at new connections.
            let _ = timeout(RELOAD, loaded.changed()).await;
            *seen = now;
        }
    }
}
