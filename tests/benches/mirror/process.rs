//! What the system says of a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The most memory that a process has had, in MiB.
pub fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse().ok()).unwrap_or(0_u64) / 1024
}

/// Bytes that a process has read from files, whether they came from the disk or from the cache.
pub fn read_from_files(process: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// This program in a process of its own, which ends when it is dropped.
pub struct Own(pub Child);

impl Own {
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("a path");
        let process = Command::new(program)
            .arg("--child")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(process.expect("a process"))
    }

    /// What it says on its next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.stdout.as_mut().expect("a pipe");
        // Nothing but this line is said before it is asked for more.
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("a line");
        line.trim().to_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
