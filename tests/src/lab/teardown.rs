//! Finding labs, living and dead, and taking down what is left of them.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    LabError, LabRecord,
    process::{command, succeed},
    record::Folder,
    supervisor::{host_link, table},
};

const SHORT: Duration = Duration::from_secs(20);

/// A supervisor that was told to end has this long to do so.
const TERM_LIMIT: Duration = Duration::from_secs(60);

/// A lab whose supervisor has not claimed it after this time never will.
const CLAIM_LIMIT: Duration = Duration::from_secs(600);

/// Whether a lab's supervisor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabState {
    /// It lives.
    Running,
    /// It is being set up.
    Starting,
    /// It ended without cleaning up: [`sweep`] does that.
    Dead,
}

/// A lab that was found on this host.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name.
    pub id: String,
    /// Whether it lives.
    pub state: LabState,
    /// What is written down about it, once it has a network.
    pub record: Option<LabRecord>,
}

/// The labs under `root`, in the order of their names.
///
/// # Errors
/// When the folder cannot be read; one that is not there has no labs.
pub fn find(root: &Path) -> Result<Vec<Found>, LabError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::io("read", root)(error)),
    };
    let mut found: Vec<Found> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
        .map(|entry| {
            let folder = Folder::new(entry.path());
            Found {
                folder: entry.path(),
                id: id_of(folder.path()),
                state: state(&folder),
                record: folder.read_record().ok(),
            }
        })
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// Takes down what is left of dead labs under `root`. Returns their names.
///
/// # Errors
/// The first that could not be cleaned; the others are.
pub fn sweep(root: &Path) -> Result<Vec<String>, LabError> {
    let mut swept = Vec::new();
    let mut first_error = None;
    if !root.exists() {
        return Ok(swept);
    }
    // Two that sweep at once would trip over each other.
    let lock_path = root.join("sweep.lock");
    let lock = File::create(&lock_path).map_err(LabError::io("create", &lock_path))?;
    lock.lock().map_err(LabError::io("lock", &lock_path))?;
    for lab in find(root)? {
        if lab.state != LabState::Dead {
            continue;
        }
        match clean(&Folder::new(lab.folder)) {
            Ok(()) => swept.push(lab.id),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(swept), Err)
}

/// Ends a lab, living or dead, and waits until nothing is left of it.
///
/// # Errors
/// When something of it cannot be removed.
pub fn take_down(lab: &Found) -> Result<(), LabError> {
    let folder = Folder::new(lab.folder.clone());
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        let Some(pid) = supervisor(&folder) else {
            break;
        };
        // It may end by itself just now.
        let _ = rustix::process::kill_process(pid, signal);
        let start = Instant::now();
        while supervisor(&folder).is_some() && start.elapsed() < TERM_LIMIT {
            thread::sleep(Duration::from_millis(20));
        }
    }
    clean(&folder)
}

/// The supervisor, if it lives: it holds the lock of the file that has its id.
fn supervisor(folder: &Folder) -> Option<rustix::process::Pid> {
    if !locked(folder) {
        return None;
    }
    let pid = fs::read_to_string(folder.alive()).ok()?;
    rustix::process::Pid::from_raw(pid.trim().parse().ok()?)
}

fn locked(folder: &Folder) -> bool {
    File::open(folder.alive())
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn state(folder: &Folder) -> LabState {
    if locked(folder) {
        return LabState::Running;
    }
    let claimed = folder.alive().exists();
    let young = fs::metadata(folder.path())
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|made| {
            SystemTime::now()
                .duration_since(made)
                .is_ok_and(|age| age < CLAIM_LIMIT)
        });
    if !claimed && young {
        LabState::Starting
    } else {
        LabState::Dead
    }
}

/// The name of the lab that has this folder.
pub(crate) fn id_of(folder: &Path) -> String {
    folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Removes everything that a lab without a supervisor has left: processes, cable, rules, folder.
pub(crate) fn clean(folder: &Folder) -> Result<(), LabError> {
    if !folder.path().exists() {
        return Ok(());
    }
    let id = id_of(folder.path());
    end_group(folder, &id)?;
    // The cable goes with its other end, and that with the last process; it takes a moment.
    let link = Path::new("/sys/class/net").join(host_link(&id));
    let start = Instant::now();
    while link.exists() && start.elapsed() < Duration::from_secs(3) {
        thread::sleep(Duration::from_millis(10));
    }
    if link.exists() {
        succeed(
            command("ip").args(["link", "delete", &host_link(&id)]),
            None,
            SHORT,
        )?;
    }
    let tables = succeed(command("nft").args(["list", "tables", "ip"]), None, SHORT)?;
    if tables
        .stdout
        .lines()
        .any(|line| line.trim() == format!("table ip {}", table(&id)))
    {
        succeed(
            command("nft").args(["delete", "table", "ip", &table(&id)]),
            None,
            SHORT,
        )?;
    }
    restore_forwarding(folder)?;
    remove_folder(folder)
}

fn end_group(folder: &Folder, id: &str) -> Result<(), LabError> {
    let mount_point = folder.path().join("group");
    fs::create_dir_all(&mount_point).map_err(LabError::io("create", &mount_point))?;
    succeed(
        command("unshare")
            .args([
                "--mount",
                "sh",
                "-c",
                include_str!("scripts/end-group.sh"),
                "sh",
            ])
            .arg(&mount_point)
            .arg(id),
        None,
        Duration::from_secs(60),
    )
    .map(|_| ())
}

/// Forwarding was turned on for the labs; the last one turns it off if it was.
fn restore_forwarding(folder: &Folder) -> Result<(), LabError> {
    const PATH: &str = "/proc/sys/net/ipv4/ip_forward";
    let Ok(record) = folder.read_record() else {
        return Ok(());
    };
    let root = folder.path().parent().unwrap_or(folder.path());
    let others = find(root)?
        .into_iter()
        .any(|lab| lab.id != record.id && lab.record.is_some());
    if record.forwarding_before || others {
        return Ok(());
    }
    fs::write(PATH, "0").map_err(LabError::io("write", PATH))
}

fn remove_folder(folder: &Folder) -> Result<(), LabError> {
    let path = folder.path();
    let mounts = "/proc/self/mountinfo";
    let text = fs::read_to_string(mounts).map_err(LabError::io("read", mounts))?;
    // The lab's mounts are in its own namespace. Whatever somebody mounted here is not ours to
    // delete.
    if let Some(mounted) = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .find(|mounted| Path::new(mounted).starts_with(path))
    {
        return Err(LabError::io("remove", mounted)(std::io::Error::other(
            "something is mounted there",
        )));
    }
    // Gone last: until then the next sweep finds the lab.
    let alive = folder.alive();
    for entry in fs::read_dir(path)
        .map_err(LabError::io("read", path))?
        .flatten()
    {
        let entry = entry.path();
        if entry == alive {
            continue;
        }
        let removed = if entry.is_dir() && !entry.is_symlink() {
            fs::remove_dir_all(&entry)
        } else {
            fs::remove_file(&entry)
        };
        removed.map_err(LabError::io("remove", &entry))?;
    }
    fs::remove_dir_all(path).map_err(LabError::io("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_lives_as_long_as_its_lock_is_held() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("abc");
        fs::create_dir(&path).unwrap();
        let state = || find(root.path()).unwrap()[0].state;
        assert_eq!(state(), LabState::Starting);
        let file = File::create(path.join("alive")).unwrap();
        file.lock().unwrap();
        assert_eq!(state(), LabState::Running);
        drop(file);
        assert_eq!(state(), LabState::Dead);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_labs() {
        assert!(find(Path::new("/nonexistent/labs")).unwrap().is_empty());
    }
}
