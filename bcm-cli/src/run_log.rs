//! What a command that changes machines did, in a file: for when it went wrong.
//!
//! In `$XDG_STATE_HOME/bcm/logs`, which only the user may enter. Like everything that is shown, it
//! has no secrets: join tokens and certificates are in no message.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How many logs are kept.
const KEPT: usize = 20;

/// The log of one run.
#[derive(Debug)]
pub(crate) struct RunLog {
    path: PathBuf,
    file: Mutex<File>,
    began: Instant,
}

impl RunLog {
    /// Begins a log called after `command` in the state folder `state`, and removes the oldest
    /// ones there are too many of. Its name begins with the seconds since 1970.
    pub(crate) fn begin(state: &Path, command: &str) -> io::Result<Self> {
        let folder = state.join("logs");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{}-{command}-{}.log", now.as_secs(), std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        forget_oldest(&folder)?;
        let log = Self {
            path,
            file: Mutex::new(file),
            began: Instant::now(),
        };
        log.line(&format!("bcm {}: {command}", env!("CARGO_PKG_VERSION")));
        Ok(log)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, or several, with the seconds since the beginning before each. A log that
    /// cannot be written stops nothing.
    pub(crate) fn line(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let lines: String = text
            .lines()
            .map(|line| format!("{seconds:9.3}  {line}\n"))
            .collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(lines.as_bytes());
    }
}

fn forget_oldest(folder: &Path) -> io::Result<()> {
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(KEPT);
    for path in &logs[..surplus] {
        match std::fs::remove_file(path) {
            // Another run forgot it at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_user_alone_reads_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = RunLog::begin(folder.path(), "create").unwrap();
        log.line("one\ntwo");
        let text = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("  two\n"), "{text}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(log.path()), 0o600);
        assert_eq!(mode(&folder.path().join("logs")), 0o700);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        for n in 0..30 {
            std::fs::write(logs.join(format!("{}-create-1.log", 1_700_000_000 + n)), "").unwrap();
        }
        let log = RunLog::begin(folder.path(), "destroy").unwrap();
        let left = std::fs::read_dir(&logs).unwrap().count();
        assert_eq!(left, KEPT);
        assert!(log.path().exists());
        assert!(!logs.join("1700000010-create-1.log").exists());
        assert!(logs.join("1700000011-create-1.log").exists());
    }
}
