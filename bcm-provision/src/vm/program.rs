//! Other programs, run to their end with a deadline.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::VmError;

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs(Vec<PathBuf>);

impl Programs {
    /// In these folders, such as those of `PATH`, and after them in those of administration's
    /// programs, which a user's `PATH` often lacks.
    #[must_use]
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut folders: Vec<PathBuf> = folders.into_iter().collect();
        folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
        Self(folders)
    }

    /// Where the program `name` is, if it is there.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let mut paths = self.0.iter().map(|folder| folder.join(name));
        paths.find(|path| path.is_file())
    }
}

/// Runs `program` with `input` for at most `limit`, and gives what it wrote to stdout. It is the
/// head of a process group of its own, which gets SIGTERM when this is dropped.
///
/// # Errors
/// It could not be run, failed, or took too long.
pub(crate) async fn run(
    program: &Path,
    arguments: &[String],
    input: &[u8],
    limit: Duration,
    change: impl FnOnce(&mut Command),
) -> Result<String, VmError> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let failed = |source| VmError::Run {
        program: name.clone().into_owned(),
        source,
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Not killed when this is dropped: it may have to clean up.
        .process_group(0);
    change(&mut command);
    let mut child = command.spawn().map_err(failed)?;
    let mut group = Group(child.id());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has its reasons.
        let _ = stdin.write_all(input).await;
    }
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => {
            return Err(VmError::Slow {
                program: name.into_owned(),
                waited: limit,
            });
        }
    };
    group.0 = None;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = match output.stderr.is_empty() {
        true => &output.stdout,
        false => &output.stderr,
    };
    Err(VmError::Program {
        program: name.into_owned(),
        status: output.status.to_string(),
        said: tail(said, 12),
    })
}

/// A process group that is told to end when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let group = self.0.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            // It may be over.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// The last lines of what a program said, without what steers terminals.
pub(crate) fn tail(said: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(said);
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            // ESC [ … letter.
            '\u{1b}' => {
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    let kept: Vec<&str> = plain.lines().filter(|l| !l.trim().is_empty()).collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_console_is_readable() {
        let said = b"one\r\n\x1b[0;32m  OK  \x1b[0m two\r\n\r\nthree\r\n";
        assert_eq!(tail(said, 2), "  OK   two\nthree");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_quoted() {
        let sh = Path::new("/bin/sh");
        let script = |text: &str| vec!["-c".to_owned(), text.to_owned()];
        let limit = Duration::from_secs(60);
        let echoed = run(sh, &script("cat"), b"hello", limit, |_| {}).await;
        assert_eq!(echoed.unwrap(), "hello");
        let failed = run(sh, &script("echo why >&2; exit 3"), b"", limit, |_| {}).await;
        assert!(failed.unwrap_err().to_string().contains("why"));
        let slow = run(
            sh,
            &script("sleep 100"),
            b"",
            Duration::from_millis(50),
            |_| {},
        )
        .await;
        assert!(matches!(slow.unwrap_err(), VmError::Slow { .. }));
    }
}
