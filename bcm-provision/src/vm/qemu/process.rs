//! QEMU's processes. They are nobody's children for long: what finds them again is the `-uuid` on
//! their command line, not a file with a number that another process may have by now.

use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::vm::VmError;
use crate::vm::program::tail;

/// The ids of all processes.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process of the machine `uuid`.
pub(crate) fn find(uuid: &str) -> Option<Pid> {
    processes()
        .find(|id| {
            // Another user's are not readable, or not of interest; one that is over has none.
            fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| is_of(&line, uuid))
        })
        .and_then(Pid::from_raw)
}

/// The QEMUs that were started in the folder `fleet`, whatever is still known of them.
pub(crate) fn in_folder(fleet: &Path) -> Vec<Pid> {
    let Ok(fleet) = fleet.canonicalize() else {
        return Vec::new();
    };
    processes()
        .filter(|id| {
            let link = |name: &str| fs::read_link(format!("/proc/{id}/{name}"));
            let is_qemu = link("exe").is_ok_and(|exe| exe.to_string_lossy().contains("qemu"));
            is_qemu && link("cwd").is_ok_and(|cwd| cwd == fleet)
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// Cuts the power of all that was started in the folder `fleet`, the cluster `host`.
pub(crate) async fn kill_all(fleet: &Path, host: &str) -> Result<(), VmError> {
    let begin = Instant::now();
    loop {
        let Some(&first) = in_folder(fleet).first() else {
            return Ok(());
        };
        for pid in in_folder(fleet) {
            // It may be over by now.
            let _ = kill_process(pid, Signal::KILL);
        }
        if begin.elapsed() > KILLED {
            return Err(VmError::Unending {
                host: host.to_owned(),
                pid: first.as_raw_nonzero().get(),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a command line, words that end with a NUL, is that of a QEMU with this `-uuid`.
fn is_of(line: &[u8], uuid: &str) -> bool {
    let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
    let qemu = words
        .first()
        .is_some_and(|word| String::from_utf8_lossy(word).contains("qemu"));
    qemu && words
        .windows(2)
        .any(|pair| pair == [b"-uuid".as_slice(), uuid.as_bytes()])
}

/// Starts QEMU in the fleet's folder, with what it says in `log`. It lives on when this process ends,
/// and a Ctrl-C at the terminal is not for it.
pub(crate) fn start(
    qemu: &Path,
    arguments: &[String],
    fleet: &Path,
    log: &Path,
) -> Result<Child, VmError> {
    let output = fs::File::create(log).map_err(VmError::io("create", log))?;
    let also = output.try_clone().map_err(VmError::io("open", log))?;
    Command::new(qemu)
        .args(arguments)
        .current_dir(fleet)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(also)
        .process_group(0)
        .spawn()
        .map_err(|source| VmError::Run {
            program: qemu.display().to_string(),
            source,
        })
}

/// How a QEMU that ended by itself explains that.
pub(crate) fn last_words(status: ExitStatus, log: &Path) -> String {
    let said = fs::read(log).map(|said| tail(&said, 5)).unwrap_or_default();
    match said.as_str() {
        "" => format!("QEMU said nothing ({status})"),
        said => said.to_owned(),
    }
}

/// Waits until the machine `uuid` has no process, for at most `limit`. Whether that came.
pub(crate) async fn gone(uuid: &str, limit: Duration) -> bool {
    let begin = Instant::now();
    while find(uuid).is_some() {
        if begin.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    true
}

/// How long a process may take to end once it was killed.
const KILLED: Duration = Duration::from_secs(20);

/// Cuts the power of the machine `uuid`.
pub(crate) async fn kill(uuid: &str, host: &str) -> Result<(), VmError> {
    for signal in [Signal::TERM, Signal::KILL] {
        let Some(pid) = find(uuid) else { return Ok(()) };
        // It may be over by now.
        let _ = kill_process(pid, signal);
        let limit = match signal {
            Signal::TERM => Duration::from_secs(5),
            _ => KILLED,
        };
        if gone(uuid, limit).await {
            return Ok(());
        }
    }
    match find(uuid) {
        None => Ok(()),
        Some(pid) => Err(VmError::Unending {
            host: host.to_owned(),
            pid: pid.as_raw_nonzero().get(),
        }),
    }
}

/// A new name for a process (RFC 9562), which the kernel makes.
pub(crate) fn new_uuid() -> Result<String, VmError> {
    let path = Path::new("/proc/sys/kernel/random/uuid");
    let text = fs::read_to_string(path).map_err(VmError::io("read", path))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_uuid_and_not_by_words_alike() {
        assert!(is_of(
            b"/usr/bin/qemu-system-x86_64\0-uuid\0abc\0-S\0",
            "abc"
        ));
        assert!(!is_of(b"/usr/bin/qemu-system-x86_64\0-uuid\0abcd\0", "abc"));
        assert!(!is_of(b"grep\0-uuid\0abc\0", "abc"));
        assert!(!is_of(b"", "abc"));
        assert!(find(&new_uuid().unwrap()).is_none());
    }
}
