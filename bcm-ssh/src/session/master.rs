//! The process that holds the connection.
//!
//! It is `ssh -M` in the foreground with one session of its own, a `cat` that reads a pipe of this
//! process. When this process ends, however it does, the pipe ends, and with it the session, the
//! master, and the connection. That the session's shell says it is there also proves that the host
//! runs commands for this user, which a mere log-in does not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, ChildStdin, Command as Process},
    task::JoinHandle,
    time::timeout,
};

use super::{
    Control, SshOptions,
    diagnose::{self, Transcript},
};
use crate::{ConnectError, Destination, HostKey, HostKeyPolicy, PinnedKey, wrapper};

/// What the first session says when it is there.
const READY: &str = "bcm-connected";

/// How much a login shell may say before that, in bytes.
const GREETING: u64 = 64 << 10;

/// How much of ssh's own words is kept.
const WORDS: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Master {
    child: Child,
    stdin: Option<ChildStdin>,
    words: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    host_key: Option<HostKey>,
}

impl Master {
    pub(super) async fn start(
        destination: &Destination,
        options: &SshOptions,
        control: &Control,
    ) -> Result<Self, ConnectError> {
        let mut process = process(destination, options, control)?;
        let mut child = process.spawn().map_err(|source| ConnectError::Start {
            program: options.program.clone(),
            source,
        })?;
        let words = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn(keep_words(child.stderr.take(), words.clone()));
        let mut master = Self {
            stdin: child.stdin.take(),
            child,
            words,
            reader,
            host_key: None,
        };
        let ready = timeout(options.connect_deadline, master.wait_ready()).await;
        match ready {
            Ok(Ok(())) => {
                master.host_key = diagnose::host_key(&master.transcript());
                Ok(master)
            }
            Ok(Err(greeting)) => Err(master.diagnose(destination, options, &greeting).await),
            Err(_) => Err(ConnectError::Timeout {
                host: destination.to_string(),
                limit: options.connect_deadline,
                last_seen: diagnose::last_seen(&master.transcript()),
            }),
        }
    }

    /// Waits for the session's word. `Err` is what came instead.
    async fn wait_ready(&mut self) -> Result<(), String> {
        let mut greeting = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            let mut lines = BufReader::new(stdout.take(GREETING)).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.ends_with(READY) {
                    return Ok(());
                }
                greeting.push_str(&line);
                greeting.push('\n');
            }
        }
        // Its last words come before its end.
        let _ = self.child.wait().await;
        let _ = (&mut self.reader).await;
        Err(greeting)
    }

    async fn diagnose(
        &self,
        destination: &Destination,
        options: &SshOptions,
        greeting: &str,
    ) -> ConnectError {
        let error = diagnose::interpret(
            &self.transcript(),
            &destination.to_string(),
            &options.host_keys,
            greeting,
        );
        match error {
            ConnectError::HostKeyChanged {
                host,
                known: None,
                offered,
                location: Some(location),
            } => {
                let algorithm = offered.as_ref().map_or("", |key| &key.algorithm);
                let (known, location) = known_key(&location, algorithm).await;
                ConnectError::HostKeyChanged {
                    host,
                    known: known.map(Box::new),
                    offered,
                    location: Some(location),
                }
            }
            other => other,
        }
    }

    fn transcript(&self) -> Transcript {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        Transcript::new(&String::from_utf8_lossy(&words))
    }

    pub(super) fn host_key(&self) -> Option<&HostKey> {
        self.host_key.as_ref()
    }

    /// What ssh said last that was not meant for debugging.
    pub(super) fn last_words(&self) -> String {
        diagnose::last_words(&self.transcript())
    }

    pub(super) async fn close(mut self) {
        drop(self.stdin.take());
        if timeout(Duration::from_secs(5), self.child.wait())
            .await
            .is_err()
        {
            // It may be talking to a host that is gone.
            let _ = self.child.kill().await;
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Keeps the end of what ssh says.
async fn keep_words(stderr: Option<impl AsyncRead + Unpin>, words: Arc<Mutex<Vec<u8>>>) {
    let Some(mut stderr) = stderr else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&buffer[..count]);
        let surplus = words.len().saturating_sub(WORDS);
        words.drain(..surplus);
    }
}

fn process(
    destination: &Destination,
    options: &SshOptions,
    control: &Control,
) -> Result<Process, ConnectError> {
    let mut process = Process::new(&options.program);
    process
        .env("LC_ALL", "C")
        .env_remove("SSH_ASKPASS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(config) = &options.ssh_config {
        process.arg("-F").arg(config);
    }
    // -v: the only way to learn which key the host showed.
    process.args(["-v", "-T", "-M", "-S", &control.socket_option()]);
    let mut option = |text: String| {
        process.arg("-o").arg(text);
    };
    for fixed in [
        "BatchMode=yes",
        "ControlPersist=no",
        "UpdateHostKeys=no",
        "RequestTTY=no",
        "RemoteCommand=none",
        "PermitLocalCommand=no",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ServerAliveCountMax=3",
        "StreamLocalBindMask=0177",
    ] {
        option(fixed.to_owned());
    }
    option(format!(
        "ConnectTimeout={}",
        seconds(options.connect_deadline)
    ));
    option(format!(
        "ServerAliveInterval={}",
        seconds(options.alive_interval)
    ));
    let pinned = matches!(options.host_keys, HostKeyPolicy::Pinned(_));
    if let Some(known_hosts) = options.known_hosts.as_ref().filter(|_| !pinned) {
        option(format!("UserKnownHostsFile={}", quoted(known_hosts)));
        option("GlobalKnownHostsFile=none".to_owned());
    }
    match &options.host_keys {
        HostKeyPolicy::Strict => option("StrictHostKeyChecking=yes".to_owned()),
        HostKeyPolicy::AcceptNew => option("StrictHostKeyChecking=accept-new".to_owned()),
        HostKeyPolicy::Pinned(key) => {
            if !key.is_valid() {
                return Err(ConnectError::Pin(key.to_string()));
            }
            pin(key, control, &mut option)?;
        }
    }
    if let Some(identity) = &options.identity {
        option("IdentitiesOnly=yes".to_owned());
        process.arg("-i").arg(identity);
    }
    if let Some(user) = destination.user() {
        process.args(["-l", user]);
    }
    if let Some(port) = destination.port() {
        process.args(["-p", &port.to_string()]);
    }
    let session = format!("echo {READY}; exec cat >/dev/null");
    let words = ["sh", "-c", &session].map(str::to_owned);
    process
        .args(["--", destination.host()])
        .arg(wrapper::line(&words));
    Ok(process)
}

/// Whole seconds, rounded up, at least one.
fn seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// A path as ssh_config(5) wants it: in quotes, and no tokens in it.
fn quoted(path: &std::path::Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

/// Makes the pinned key the only one that is known.
fn pin(
    key: &PinnedKey,
    control: &Control,
    option: &mut impl FnMut(String),
) -> Result<(), ConnectError> {
    let write = |name: &str, text: &str, mode: u32| {
        let path = control.folder().join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map(|()| path)
            .map_err(|source| ConnectError::ControlFolder {
                folder: control.folder().to_owned(),
                source,
            })
    };
    option("StrictHostKeyChecking=yes".to_owned());
    option("GlobalKnownHostsFile=none".to_owned());
    // Neither a name nor an address decides, only the key.
    option("HostKeyAlias=bcm-pinned".to_owned());
    if let Some((algorithm, public)) = key.public() {
        let line = format!("bcm-pinned {algorithm} {public}\n");
        let known_hosts = write("k", &line, 0o600)?;
        option(format!("UserKnownHostsFile={}", quoted(&known_hosts)));
        // The kind that is pinned, not the one that ssh would rather have.
        option(match algorithm {
            "ssh-rsa" => "HostKeyAlgorithms=rsa-sha2-512,rsa-sha2-256".to_owned(),
            other => format!("HostKeyAlgorithms={other}"),
        });
        return Ok(());
    }
    // ssh asks this program for the keys it knows: the very one it was shown, if it is the pinned.
    let script = format!("#!/bin/sh\n[ \"$1\" != '{key}' ] || echo \"bcm-pinned $2 $3\"\n");
    let program = write("k", &script, 0o700)?;
    option("UserKnownHostsFile=none".to_owned());
    option(format!("KnownHostsCommand={} %f %t %K", quoted(&program)));
    Ok(())
}

/// The known key that the offered one is to be compared with, and where it is, `FILE:LINE`.
///
/// ssh names the first line that is about the host; the one of the same algorithm says more.
async fn known_key(location: &str, algorithm: &str) -> (Option<HostKey>, String) {
    let found = || {
        let (file, number) = location.rsplit_once(':')?;
        let text = fs::read_to_string(file).ok()?;
        let (number, line) = comparable(&text, number.parse().ok()?, algorithm)?;
        Some((format!("{file}:{number}"), line.to_owned()))
    };
    match found() {
        Some((location, line)) => (fingerprint(&line).await, location),
        None => (None, location.to_owned()),
    }
}

/// The line of a `known_hosts` for the same names as line `number`, but with this algorithm; else
/// line `number`. Lines count from 1.
fn comparable<'a>(text: &'a str, number: usize, algorithm: &str) -> Option<(usize, &'a str)> {
    let named = text.lines().nth(number.checked_sub(1)?)?;
    let names = named.split(' ').next();
    text.lines()
        .enumerate()
        .find(|(_, line)| {
            let mut fields = line.split(' ');
            fields.next() == names && fields.next() == Some(algorithm)
        })
        .map(|(index, line)| (index + 1, line))
        .or(Some((number, named)))
}

/// The fingerprint of a line of `known_hosts`.
async fn fingerprint(line: &str) -> Option<HostKey> {
    let mut keygen = Process::new("ssh-keygen");
    keygen
        .env("LC_ALL", "C")
        .args(["-l", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let answer = async {
        let mut child = keygen.spawn().ok()?;
        let mut stdin = child.stdin.take()?;
        tokio::io::AsyncWriteExt::write_all(&mut stdin, line.as_bytes())
            .await
            .ok()?;
        drop(stdin);
        child.wait_with_output().await.ok()
    };
    let output = timeout(Duration::from_secs(5), answer).await.ok()??;
    diagnose::keygen_line(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_same_kind_is_compared() {
        let text = "# mine\na,b ssh-rsa AA\nc ssh-ed25519 CC\na,b ssh-ed25519 BB\n";
        assert_eq!(
            comparable(text, 2, "ssh-ed25519"),
            Some((4, "a,b ssh-ed25519 BB"))
        );
        assert_eq!(comparable(text, 2, "ssh-dss"), Some((2, "a,b ssh-rsa AA")));
        assert_eq!(comparable(text, 9, "ssh-rsa"), None);
        assert_eq!(comparable(text, 0, "ssh-rsa"), None);
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(2500)), 3);
    }
}
