//! Running a program with a deadline, and finding the children of a process.

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::LabError;

/// Where system programs are, whatever the caller's `PATH` says.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often the end of a program is looked for.
const POLL: Duration = Duration::from_millis(5);

/// How a program ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Captured {
    /// The exit code; 128 plus the number of the signal for a program that a signal ended.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

/// A command with a pinned locale and path and nothing on stdin.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("LC_ALL", "C")
        .env("PATH", SEARCH_PATH)
        .stdin(Stdio::null());
    command
}

/// Runs to the end, feeding `input` and capturing what is written. At `limit` the program is killed.
pub(crate) fn capture(
    command: &mut Command,
    input: Option<&[u8]>,
    limit: Duration,
) -> Result<Captured, LabError> {
    let line = line(command);
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| LabError::Spawn {
            program: line.clone(),
            source,
        })?;
    let feeder = input.map(<[u8]>::to_vec).zip(child.stdin.take());
    // A program may end without reading all of its input; its exit status is what counts.
    let feeder = feeder.map(|(input, mut pipe)| {
        thread::spawn(move || {
            let _ = pipe.write_all(&input);
        })
    });
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let ended = wait(&mut child, limit);
    if ended.is_none() {
        // The only failure is that it has ended by now.
        let _ = child.kill();
        let _ = child.wait();
    }
    let Some(status) = ended else {
        // A grandchild may hold the pipes for ever, so what was written is not waited for here.
        return Err(LabError::Slow {
            command: line,
            limit,
            output: "it was killed".to_owned(),
        });
    };
    if let Some(feeder) = feeder {
        let _ = feeder.join();
    }
    Ok(Captured {
        status,
        stdout: collect(stdout),
        stderr: collect(stderr),
    })
}

/// Like [`capture`]; an exit status other than 0 is an error that shows what was written.
pub(crate) fn succeed(
    command: &mut Command,
    input: Option<&[u8]>,
    limit: Duration,
) -> Result<Captured, LabError> {
    let line = line(command);
    let captured = capture(command, input, limit)?;
    if captured.status.success() {
        return Ok(captured);
    }
    Err(LabError::Failed {
        command: line,
        status: captured.status.to_string(),
        output: tail(&[&*captured.stdout, &*captured.stderr].concat(), 2000),
    })
}

/// The last `bytes` of a text, cut between characters.
pub(crate) fn tail(text: &str, bytes: usize) -> String {
    let text = text.trim();
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a failure is kept.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn collect(reader: Option<thread::JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|r| r.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Waits for `child` at most `limit`; `None` if it still runs then.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < limit => thread::sleep(POLL),
            _ => return None,
        }
    }
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(Path::new("/proc")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| {
            std::fs::read_to_string(format!("/proc/{child}/stat"))
                .ok()
                .and_then(|stat| parent(&stat))
                == Some(pid)
        })
        .collect()
}

/// The parent in `/proc/PID/stat` (proc(5)): the name in parentheses may hold spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_program_is_killed() {
        let start = Instant::now();
        let error =
            capture(command("sleep").arg("60"), None, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, LabError::Slow { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let input = vec![b'x'; 1 << 20];
        let captured = succeed(
            command("sh").args(["-c", "wc -c; echo oops >&2"]),
            Some(&input),
            Duration::from_secs(20),
        )
        .unwrap();
        assert_eq!(captured.stdout.trim(), "1048576");
        assert_eq!(captured.stderr, "oops\n");
    }

    #[test]
    fn a_failure_shows_what_was_written() {
        let error = succeed(
            command("sh").args(["-c", "echo first; echo why >&2; exit 3"]),
            None,
            Duration::from_secs(20),
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("why") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn a_stat_line_with_an_odd_name_is_read() {
        let line = "42 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        assert_eq!(parent(line), Some(7));
    }

    #[test]
    fn a_child_is_found() {
        let mut child = command("sleep").arg("30").spawn().unwrap();
        let found = children(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&child.id()));
    }
}
