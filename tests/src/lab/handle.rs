//! A lab in the hands of the process that started it, or of one that joins it later.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use super::{
    BaseImage, Found, LabError, LabRecord, LabState, Machine, Preinstalled, Release, doctor,
    lxc::Lxc, process, record::Folder, teardown,
};

/// When a lab ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// With the [`Lab`] value, or with its process, in whatever way that ends.
    Attached,
    /// Never: only by [`teardown::take_down`] (`cargo lab down`).
    Detached,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// How many machines, at most 150.
    pub machines: u8,
    /// What they run.
    pub release: Release,
    /// What they have beyond that.
    pub preinstalled: Preinstalled,
    /// When the lab ends by itself.
    pub lifetime: Lifetime,
    /// The `lab` program, whose subcommand `supervise` holds the lab: in this package's tests and
    /// benches, `env!("CARGO_BIN_EXE_lab")`.
    pub program: PathBuf,
    /// Where labs have their folders. Short: a socket's path has at most 107 bytes.
    pub root: PathBuf,
    /// Where base images are kept, outside any checkout.
    pub cache: PathBuf,
}

impl LabOptions {
    /// Three bookworm machines that end with the caller, in `/var/lib/bcm-lab`, with images kept in
    /// `/var/cache/bcm-lab`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            machines: 3,
            release: Release::Bookworm,
            preinstalled: Preinstalled::Nothing,
            lifetime: Lifetime::Attached,
            program: program.into(),
            root: Self::default_root(),
            cache: PathBuf::from("/var/cache/bcm-lab"),
        }
    }

    /// Where labs have their folders unless somebody says otherwise: `/var/lib/bcm-lab`.
    #[must_use]
    pub fn default_root() -> PathBuf {
        PathBuf::from("/var/lib/bcm-lab")
    }
}

/// A running lab.
///
/// Dropping an attached lab takes it down and waits for that; so does a panic. Dropping a detached
/// one leaves it running.
#[derive(Debug)]
pub struct Lab {
    inner: Arc<Inner>,
    image: BaseImage,
    supervisor: Option<Supervisor>,
}

#[derive(Debug)]
struct Supervisor {
    child: Child,
    /// Its end is the supervisor's sign to take the lab down.
    stdin: Option<ChildStdin>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) folder: Folder,
    pub(crate) lxc: Lxc,
    pub(crate) record: Mutex<LabRecord>,
}

impl Inner {
    pub(crate) fn record(&self) -> LabRecord {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Setting up takes seconds; a machine that compiles at the same time, longer.
const READY_LIMIT: Duration = Duration::from_secs(180);

impl Lab {
    /// Starts a lab and waits until every machine answers on SSH.
    ///
    /// What dead labs have left is swept first.
    ///
    /// # Errors
    /// [`LabError::Needs`] when the host lacks something, or whatever went wrong; nothing is left
    /// then.
    pub fn start(options: &LabOptions) -> Result<Self, LabError> {
        Self::start_saying(options, &|_| ())
    }

    /// [`Lab::start`], telling `say` what takes long.
    ///
    /// # Errors
    /// Those of [`Lab::start`].
    pub fn start_saying(options: &LabOptions, say: &dyn Fn(&str)) -> Result<Self, LabError> {
        doctor::check()?;
        let swept = teardown::sweep(&options.root)?;
        if !swept.is_empty() {
            say(&format!("swept what was left of {}", swept.join(", ")));
        }
        let image = BaseImage::ensure(&options.cache, options.release, options.preinstalled, say)?;
        let folder = make_folder(&options.root)?;
        let attached = options.lifetime == Lifetime::Attached;
        let supervisor = supervise(options, &folder, &image, attached)?;
        let record = folder.read_record()?;
        let lab = Self {
            inner: Arc::new(Inner {
                lxc: Lxc::new(&folder),
                folder,
                record: Mutex::new(record),
            }),
            image,
            supervisor: attached.then_some(supervisor),
        };
        let started = lab
            .make_identity()
            .and_then(|()| lab.add_machines(options.machines));
        if let Err(error) = started {
            if !attached {
                // The first error is the one to tell.
                let _ = lab.take_down();
            }
            return Err(error);
        }
        Ok(lab)
    }

    /// The lab that was found, to use its machines.
    ///
    /// # Errors
    /// When it does not run, or its record cannot be read.
    pub fn join(found: &Found, cache: &Path) -> Result<Self, LabError> {
        if found.state != LabState::Running {
            return Err(LabError::NoLab(format!(
                "the lab {} does not run",
                found.id
            )));
        }
        let folder = Folder::new(found.folder.clone());
        let record = folder.read_record()?;
        Ok(Self {
            image: BaseImage::ensure(cache, record.release, Preinstalled::Nothing, &|_| ())?,
            inner: Arc::new(Inner {
                lxc: Lxc::new(&folder),
                folder,
                record: Mutex::new(record),
            }),
            supervisor: None,
        })
    }

    /// Ends the lab and waits until nothing is left of it.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn take_down(mut self) -> Result<(), LabError> {
        let supervisor = self.supervisor.take();
        let lab = Found {
            folder: self.inner.folder.path().to_owned(),
            id: self.id(),
            state: LabState::Running,
            record: None,
        };
        let ended = teardown::take_down(&lab);
        if let Some(supervisor) = supervisor {
            supervisor.end();
        }
        ended
    }

    /// The lab's name.
    #[must_use]
    pub fn id(&self) -> String {
        teardown::id_of(self.inner.folder.path())
    }

    /// What is written down about it.
    #[must_use]
    pub fn record(&self) -> LabRecord {
        self.inner.record()
    }

    /// The supervisor's process id.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.inner.record().supervisor
    }

    /// Its machines, in the order of their numbers.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        self.inner
            .record()
            .machines
            .into_iter()
            .map(|record| Machine::new(self.inner.clone(), record))
            .collect()
    }

    /// The machine of this number; the first is 1.
    ///
    /// # Errors
    /// When there is none.
    pub fn machine(&self, number: u8) -> Result<Machine, LabError> {
        self.machines()
            .into_iter()
            .find(|machine| machine.number() == number)
            .ok_or_else(|| LabError::NoLab(format!("the lab has no machine {number}")))
    }

    /// An OpenSSH configuration in which `node1`, … can be reached with the lab's key and its known
    /// host keys, strictly checked.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.inner.folder.ssh_config()
    }

    /// The private key that opens both users' accounts on every machine; mode 0600.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.inner.folder.identity()
    }

    /// The machines' host keys by name and by address.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.inner.folder.known_hosts()
    }

    /// The image that the machines are made from, for instances inside them.
    #[must_use]
    pub fn base_image(&self) -> &BaseImage {
        &self.image
    }

    /// Adds a fresh machine and waits until it answers on SSH.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn add_machine(&self) -> Result<Machine, LabError> {
        self.add_machines(1)?;
        self.machines()
            .pop()
            .ok_or_else(|| LabError::NoLab("the lab has no machine".to_owned()))
    }

    fn add_machines(&self, count: u8) -> Result<(), LabError> {
        let first = self
            .inner
            .record()
            .machines
            .last()
            .map_or(1, |last| last.number + 1);
        let made = thread::scope(|scope| {
            let threads: Vec<_> = (first..first + count)
                .map(|number| {
                    let inner = self.inner.clone();
                    scope.spawn(move || Machine::create(inner, number))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| {
                        Err(LabError::NoLab("a machine's thread panicked".to_owned()))
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut record = self
            .inner
            .record
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        record
            .machines
            .extend(made.iter().map(|m| m.record.clone()));
        self.inner.folder.write_record(&record)?;
        let mut known_hosts = String::new();
        for machine in &made {
            known_hosts.push_str(&machine.known_hosts);
        }
        append(&self.inner.folder.known_hosts(), &known_hosts)?;
        let config = self.inner.folder.ssh_config();
        let text = ssh_config(&self.inner.folder, &record);
        fs::write(&config, text).map_err(LabError::io("write", &config))
    }

    fn make_identity(&self) -> Result<(), LabError> {
        process::succeed(
            process::command("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "laboratory", "-f"])
                .arg(self.identity()),
            None,
            Duration::from_secs(20),
        )
        .map(|_| ())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.end();
        }
    }
}

impl Supervisor {
    /// Lets it take the lab down and waits for that; what is left after the deadline, the next
    /// start sweeps.
    fn end(mut self) {
        drop(self.stdin.take());
        let _ = process::wait(&mut self.child, Duration::from_secs(90));
    }
}

fn make_folder(root: &Path) -> Result<Folder, LabError> {
    fs::create_dir_all(root).map_err(LabError::io("create", root))?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as u64);
    let mut number = now ^ (u64::from(std::process::id()) << 20);
    loop {
        let path = root.join(short_name(number));
        // Others cannot list it. The name server, which is not root's, has to pass through.
        match fs::DirBuilder::new().mode(0o711).create(&path) {
            Ok(()) => return Ok(Folder::new(path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(LabError::io("create", path)(error)),
        }
    }
}

/// Six letters and digits.
fn short_name(mut number: u64) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..6)
        .map(|_| {
            let letter = LETTERS[(number % 32) as usize];
            number /= 32;
            char::from(letter)
        })
        .collect()
}

fn supervise(
    options: &LabOptions,
    folder: &Folder,
    image: &BaseImage,
    attached: bool,
) -> Result<Supervisor, LabError> {
    let log_path = folder.supervisor_log();
    let log = fs::File::create(&log_path).map_err(LabError::io("create", &log_path))?;
    let mut command = process::command(&options.program.to_string_lossy());
    command
        .arg("supervise")
        .arg(folder.path())
        .arg("--release")
        .arg(options.release.name())
        .arg("--rootfs")
        .arg(&image.rootfs)
        .arg("--metadata")
        .arg(&image.machine_metadata)
        .stdin(if attached {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(log);
    if attached {
        command.arg("--attached");
    }
    let mut child = command.spawn().map_err(|source| LabError::Spawn {
        program: options.program.display().to_string(),
        source,
    })?;
    let stdout = child.stdout.take();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let line = stdout.and_then(|stdout| BufReader::new(stdout).lines().next()?.ok());
        // Nobody listens any more after the deadline.
        let _ = tell.send(line);
    });
    let supervisor = Supervisor {
        stdin: child.stdin.take(),
        child,
    };
    let line = told.recv_timeout(READY_LIMIT);
    if matches!(&line, Ok(Some(line)) if line == "ready") {
        return Ok(supervisor);
    }
    let reason = match line {
        Err(_) => format!("no word from its supervisor in {READY_LIMIT:?}"),
        // Its log goes with its folder, so it says why on stdout as well.
        Ok(Some(line)) => line,
        Ok(None) => "its supervisor ended".to_owned(),
    };
    supervisor.end();
    Err(LabError::Supervisor {
        id: teardown::id_of(folder.path()),
        reason,
    })
}

fn append(path: &Path, text: &str) -> Result<(), LabError> {
    use std::io::Write;
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(LabError::io("write", path))
}

fn ssh_config(folder: &Folder, record: &LabRecord) -> String {
    let mut text = String::new();
    for machine in &record.machines {
        text.push_str(&format!(
            "Host {name} {name}.lab {address}\n  HostName {address}\n",
            name = machine.name,
            address = machine.address
        ));
    }
    text.push_str(&format!(
        "Host *\n  User bcm\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n",
        folder.identity().display(),
        folder.known_hosts().display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_labs_have_short_distinct_names() {
        let root = tempfile::tempdir().unwrap();
        let a = make_folder(root.path()).unwrap();
        let b = make_folder(root.path()).unwrap();
        assert_ne!(a, b);
        assert_eq!(teardown::id_of(a.path()).len(), 6);
    }
}
