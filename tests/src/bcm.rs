//! The `bcm` program, as a person would run it: built on demand, with an environment of its own,
//! no stdin, and a deadline.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No command of a test takes longer than this unless something hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// The built program.
///
/// Cargo builds another package's programs for a test only by chance, so this asks it to, once a
/// test program, with the profile that the test program itself was built with. The whole
/// workspace's features are asked for, as `cargo test --workspace` does, so that nothing has to be
/// compiled twice. `BCM_TEST_PROGRAM` names another one to test instead, such as an installed one.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match variable("BCM_TEST_PROGRAM") {
        Some(path) => path.into(),
        None => build(&["--workspace", "--bin", "bcm"]).join("bcm"),
    })
}

/// The built example program `name`, in the way of [`program`].
pub fn example(name: &str) -> PathBuf {
    build(&["--workspace", "--bin", "bcm", "--example", name])
        .join("examples")
        .join(name)
}

/// Builds what `wanted` says, and gives the folder of the profile.
fn build(wanted: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // TARGET/debug/deps/it-0123456789abcdef
    let profile = test.ancestors().nth(2).expect("a profile's folder");
    let target = profile.parent().expect("a target folder");
    let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet"])
        .args(wanted)
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null());
    // Cargo's own profile for builds like a developer's is in `debug`, all others in a folder of their name.
    if let Some(name) = profile.file_name().filter(|name| *name != "debug") {
        build.arg("--profile").arg(name);
    }
    let built = build.output().expect("cargo runs");
    assert!(
        built.status.success(),
        "building {wanted:?} failed:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    profile.to_owned()
}

#[allow(
    clippy::disallowed_methods,
    reason = "cargo and whoever runs the tests talk to them by variables"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// `bcm` with `arguments`, in an environment with nothing but `PATH`, and no stdin. `HOME` leads
/// nowhere, so that no test finds a person's settings.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    command
}

/// How a run of `bcm` ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
}

impl Finished {
    /// The exit code; -1 where a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "wrong exit code of {self}");
        self
    }

    /// Its stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON: {error}: {self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({})\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// Runs `bcm` to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Finished {
    Running::start(command(arguments)).finish(DEADLINE)
}

/// A running `bcm`. It is killed when it is dropped.
pub struct Running {
    child: Child,
    command: String,
    stdout: Collector,
    stderr: Collector,
}

struct Collector {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(n) = from.read(&mut piece)
                && n > 0
            {
                into.lock().expect("no panic").extend(&piece[..n]);
            }
        });
        let thread = Some(thread);
        Self { text, thread }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no panic")).into_owned()
    }

    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
        self.so_far()
    }
}

impl Running {
    /// Starts `command` and collects what it says.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bcm starts");
        let stdout = Collector::start(child.stdout.take().expect("piped"));
        let stderr = Collector::start(child.stderr.take().expect("piped"));
        let mut line = vec!["bcm".to_owned()];
        line.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
        Self {
            child,
            command: line.join(" "),
            stdout,
            stderr,
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on stdout and stderr so far.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout.so_far(), self.stderr.so_far())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Waits until `found` gives something out of what it said so far.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(value) = found(&self.said()) {
                return value;
            }
            let over = begin.elapsed() > DEADLINE;
            assert!(
                !over && self.is_running(),
                "{} never said {what}; it said:\n{}",
                self.command,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) -> Finished {
        // It may be over already.
        let _ = self.child.kill();
        self.finish(DEADLINE)
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the end.
    pub fn interrupt(self) -> Finished {
        self.signal(rustix::process::Signal::INT);
        self.finish(DEADLINE)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("kill");
    }

    /// Waits for the end; a process that is still there after `deadline` is killed and fails the
    /// test.
    #[track_caller]
    pub fn finish(mut self, deadline: Duration) -> Finished {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if begin.elapsed() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "{} still ran after {deadline:?}:\n{}",
                    self.command,
                    self.said()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Finished {
            command: std::mem::take(&mut self.command),
            status,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
