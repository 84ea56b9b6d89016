//! Running a wrapped command through a transport, to its end or its deadline.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command as Process},
    time::timeout,
};

use crate::{
    BoxFuture, Command, Output, OutputLine, Privilege, RunError,
    output::tail,
    wrapper::{self, Wrapped},
};

/// How a process gets to the machine that it is meant for.
pub(crate) trait Transport: Send + Sync {
    /// The machine, for people.
    fn host(&self) -> &str;

    /// A local process that runs these words there.
    fn process(&self, words: &[String]) -> Process;

    /// What a status of 255 means: `Some` reason if the connection broke.
    fn broken(&self) -> BoxFuture<'_, Option<String>>;
}

/// How long the end of an overdue program is tried for.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What dropping a process does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDrop {
    /// It is killed.
    Kill,
    /// It ends by itself when its stdin does.
    EndOfStdin,
}

/// Starts a command with pipes to read from.
pub(crate) fn start(
    transport: &dyn Transport,
    command: &Command,
    stdin: Stdio,
    on_drop: OnDrop,
) -> Result<(Child, Wrapped), RunError> {
    if let Some(flaw) = command.flaw() {
        return Err(RunError::Invalid {
            command: command.to_string(),
            flaw,
        });
    }
    let wrapped = wrapper::wrap(command);
    let child = transport
        .process(&wrapped.words)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(on_drop == OnDrop::Kill)
        .spawn()
        .map_err(|source| RunError::Io {
            host: transport.host().to_owned(),
            command: command.to_string(),
            source,
        })?;
    Ok((child, wrapped))
}

/// Runs a command to its end or its deadline; see [`crate::Remote::run`].
pub(crate) async fn run(transport: &dyn Transport, command: &Command) -> Result<Output, RunError> {
    let stdin = match command.stdin {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    };
    let (mut child, wrapped) = start(transport, command, stdin, OnDrop::Kill)?;
    let captured = Captured::new(command, &wrapped.mark);
    let failure = |source| RunError::Io {
        host: transport.host().to_owned(),
        command: command.to_string(),
        source,
    };
    let ended = timeout(command.deadline, captured.follow(&mut child)).await;
    match ended {
        Ok(Ok(Some(status))) => finish(transport, command, &captured, status).await,
        Ok(Ok(None)) => {
            end(transport, command.privilege, child, captured.pid()).await;
            Err(RunError::TooMuchOutput {
                host: transport.host().to_owned(),
                command: command.to_string(),
                limit: command.output_limit,
            })
        }
        Ok(Err(error)) => Err(failure(error)),
        Err(_) => {
            let ended = end(transport, command.privilege, child, captured.pid()).await;
            Err(RunError::Timeout {
                host: transport.host().to_owned(),
                command: command.to_string(),
                limit: command.deadline,
                ended,
                said: captured.said(),
            })
        }
    }
}

/// Ends the local process, and the program itself wherever it runs. Says whether that one was seen
/// to end.
async fn end(
    transport: &dyn Transport,
    privilege: Privilege,
    mut child: Child,
    pid: Option<u32>,
) -> bool {
    let mut ended = false;
    if let Some(pid) = pid {
        let mut ending = transport.process(&wrapper::end(privilege, pid));
        ending
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Ok(mut ending) = ending.spawn() {
            // While it is being ended here too, so that it is not waited for as a zombie.
            let (ending, _) = tokio::join!(
                timeout(END_LIMIT, ending.wait()),
                timeout(END_LIMIT, child.wait())
            );
            ended = matches!(ending, Ok(Ok(status)) if status.success());
        }
    }
    // It may have ended by itself.
    let _ = child.kill().await;
    ended
}

async fn finish(
    transport: &dyn Transport,
    command: &Command,
    captured: &Captured<'_>,
    status: ExitStatus,
) -> Result<Output, RunError> {
    let host = || transport.host().to_owned();
    let started = captured.pid().is_some();
    let output = captured.take(status);
    let said = output.stderr_text().into_owned();
    if output.status == 255
        && let Some(message) = transport.broken().await
    {
        return Err(RunError::Lost {
            host: host(),
            command: command.to_string(),
            message: if message.is_empty() {
                tail(&said)
            } else {
                message
            },
        });
    }
    if !started && !output.success() {
        return Err(RunError::NotStarted {
            host: host(),
            command: command.to_string(),
            message: tail(&said),
        });
    }
    if output.status == 127 && said.lines().last().is_some_and(|l| l.starts_with("env: ")) {
        return Err(RunError::NotFound {
            host: host(),
            program: command.program().to_owned(),
        });
    }
    if command.privilege == Privilege::Root && output.status == 1 {
        match sudo_refusal(&said) {
            Some(Refusal::Password) => return Err(RunError::SudoPassword { host: host() }),
            Some(Refusal::No(message)) => {
                return Err(RunError::NoSudo {
                    host: host(),
                    message,
                });
            }
            None => {}
        }
    }
    Ok(output)
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Password,
    No(String),
}

/// Whether these are the words of a sudo that did not run anything (sudo 1.8 to 1.9, `LC_ALL=C`).
fn sudo_refusal(stderr: &str) -> Option<Refusal> {
    // A host whose own name does not resolve makes sudo complain first, and go on.
    let mut lines = stderr
        .lines()
        .filter(|line| !line.starts_with("sudo: unable to resolve host"));
    let first = lines.next()?;
    if first.starts_with("sudo: a password is required")
        || first.starts_with("sudo: a terminal is required")
        || first.starts_with("sudo: no tty present and no askpass")
        || first.starts_with("sudo: interactive authentication is required")
    {
        return Some(Refusal::Password);
    }
    let refused = first.contains("is not in the sudoers file")
        || first.contains("is not allowed to execute")
        || first.contains("may not run sudo on")
        || first == "sudo: not installed"
        || first.starts_with("sudo: unknown user")
        || first.contains("must be owned by uid 0 and have the setuid bit set")
        || first.contains("The \"no new privileges\" flag is set");
    refused.then(|| Refusal::No(first.trim_start_matches("sudo: ").to_owned()))
}

/// What a running command has written so far.
struct Captured<'a> {
    command: &'a Command,
    stdout: Mutex<Stream>,
    stderr: Mutex<Stream>,
}

impl<'a> Captured<'a> {
    fn new(command: &'a Command, mark: &str) -> Self {
        Self {
            command,
            stdout: Mutex::new(Stream::default()),
            stderr: Mutex::new(Stream {
                mark: Some(format!("{mark} ").into_bytes()),
                ..Stream::default()
            }),
        }
    }

    /// Feeds and reads until the process has ended. `None` when it wrote too much.
    async fn follow(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let feed = feed(child.stdin.take(), self.command.stdin.as_deref());
        let read = async {
            tokio::try_join!(
                self.read(stdout, &self.stdout, |text| OutputLine::Stdout(text)),
                self.read(stderr, &self.stderr, |text| OutputLine::Stderr(text)),
            )
        };
        tokio::pin!(feed);
        tokio::pin!(read);
        let mut fed = false;
        loop {
            tokio::select! {
                () = &mut feed, if !fed => fed = true,
                // A program may close its output without having read its input, and end.
                read = &mut read => match read? {
                    (true, true) => break,
                    _ => return Ok(None),
                },
            }
        }
        child.wait().await.map(Some)
    }

    /// Reads a pipe to its end. `false` when there was too much.
    async fn read(
        &self,
        pipe: Option<impl AsyncRead + Unpin>,
        stream: &Mutex<Stream>,
        line: for<'l> fn(&'l str) -> OutputLine<'l>,
    ) -> io::Result<bool> {
        let Some(mut pipe) = pipe else {
            return Ok(true);
        };
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = pipe.read(&mut buffer).await?;
            let mut stream = lock(stream);
            stream.push(&buffer[..count]);
            if let Some(watcher) = &self.command.watcher {
                stream.lines(count == 0, &mut |text| watcher(line(text)));
            }
            if stream.bytes.len() > self.command.output_limit {
                return Ok(false);
            }
            if count == 0 {
                return Ok(true);
            }
        }
    }

    fn pid(&self) -> Option<u32> {
        lock(&self.stderr).pid
    }

    /// The end of what was written, to stderr if there is any.
    fn said(&self) -> String {
        let text = |stream: &Mutex<Stream>| tail(&String::from_utf8_lossy(&lock(stream).bytes));
        let stderr = text(&self.stderr);
        if stderr.is_empty() {
            text(&self.stdout)
        } else {
            stderr
        }
    }

    fn take(&self, status: ExitStatus) -> Output {
        Output {
            status: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: std::mem::take(&mut lock(&self.stdout).bytes),
            stderr: std::mem::take(&mut lock(&self.stderr).bytes),
        }
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn feed(pipe: Option<tokio::process::ChildStdin>, bytes: Option<&[u8]>) {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        // A program that reads no more than it wants is none the worse for it.
        let _ = pipe.write_all(bytes).await;
        let _ = pipe.shutdown().await;
    }
}

/// The bytes of one pipe, without the line that tells the process's number.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// What that line starts with, until it was seen.
    mark: Option<Vec<u8>>,
    pid: Option<u32>,
    /// How many bytes were handed out as lines.
    shown: usize,
}

impl Stream {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let Some(mark) = &self.mark else {
            return;
        };
        // Whatever a login shell says comes before it.
        let Some(at) = find(&self.bytes, mark) else {
            return;
        };
        let Some(length) = self.bytes[at..].iter().position(|b| *b == b'\n') else {
            return;
        };
        let number = &self.bytes[at + mark.len()..at + length];
        self.pid = std::str::from_utf8(number)
            .ok()
            .and_then(|n| n.parse().ok());
        self.bytes.drain(at..=at + length);
        self.mark = None;
    }

    /// Hands out the lines that are complete; at the `end`, the rest too.
    fn lines(&mut self, end: bool, show: &mut dyn FnMut(&str)) {
        if self.mark.is_some() && !end {
            return;
        }
        while let Some(length) = self.bytes[self.shown..].iter().position(|b| *b == b'\n') {
            let line = &self.bytes[self.shown..self.shown + length];
            show(String::from_utf8_lossy(line).trim_end_matches('\r'));
            self.shown += length + 1;
        }
        if end && self.shown < self.bytes.len() {
            show(&String::from_utf8_lossy(&self.bytes[self.shown..]));
            self.shown = self.bytes.len();
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_taken_out_wherever_it_is_split() {
        let text = b"motd\nbcm-1 4711\nfirst\nlast";
        for cut in 0..text.len() {
            let mut stream = Stream {
                mark: Some(b"bcm-1 ".to_vec()),
                ..Stream::default()
            };
            let mut lines = Vec::new();
            let mut show = |line: &str| lines.push(line.to_owned());
            stream.push(&text[..cut]);
            stream.lines(false, &mut show);
            stream.push(&text[cut..]);
            stream.lines(false, &mut show);
            stream.lines(true, &mut show);
            assert_eq!(stream.pid, Some(4711));
            assert_eq!(stream.bytes, b"motd\nfirst\nlast");
            assert_eq!(lines, ["motd", "first", "last"], "{cut}");
        }
    }

    #[test]
    fn sudo_is_understood() {
        assert_eq!(
            sudo_refusal(
                "sudo: unable to resolve host x: Name or service not known\nsudo: a password is required\n"
            ),
            Some(Refusal::Password)
        );
        assert_eq!(
            sudo_refusal("plain is not in the sudoers file."),
            Some(Refusal::No("plain is not in the sudoers file.".into()))
        );
        assert!(matches!(
            sudo_refusal("Sorry, user a is not allowed to execute '/usr/bin/env' as root on n1."),
            Some(Refusal::No(_))
        ));
        assert_eq!(
            sudo_refusal("sudo: not installed"),
            Some(Refusal::No("not installed".into()))
        );
        // A program's own words.
        assert_eq!(sudo_refusal("error: a password is required"), None);
        assert_eq!(sudo_refusal(""), None);
    }
}
