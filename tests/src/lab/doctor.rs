//! What the lab needs of this host, and getting it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{LabError, process};

/// A program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("lxd", "lxd"),
    ("lxc", "lxd-client"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mksquashfs", "squashfs-tools"),
    ("unsquashfs", "squashfs-tools"),
    ("debootstrap", "debootstrap"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];

/// What no lab needs, but other tests that run where labs do: bcm-ssh's have an sshd on loopback, and
/// the onion services' a Tor network of their own.
const EXTRA_PROGRAMS: &[(&str, &str)] = &[("sshd", "openssh-server"), ("tor", "tor")];

/// One thing that is needed and missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The process is not root's.
    Root,
    /// A program, and the package that would bring it.
    Program {
        /// The program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// A file system that the kernel does not know.
    FileSystem(&'static str),
    /// Room for more watchers of files.
    Watchers,
}

/// How many watchers of files root may have. Every machine's systemd, and what runs on it, has a few,
/// and all machines are this kernel's; the usual 128 are used up by six of them.
const WATCHERS: u32 = 1024;
const WATCHERS_LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Program { program, package } => {
                write!(f, "{program} (Debian package {package})")
            }
            Self::FileSystem(name) => write!(f, "a kernel with {name}"),
            Self::Watchers => write!(f, "fs.inotify.max_user_instances of {WATCHERS} (sysctl)"),
        }
    }
}

/// Everything that is missing; empty when the lab can start.
#[must_use]
pub fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push(Missing::Root);
    }
    for &(program, package) in PROGRAMS {
        if find_program(program).is_none() {
            missing.push(Missing::Program { program, package });
        }
    }
    for name in ["cgroup2", "btrfs"] {
        if !kernel_has(name) {
            missing.push(Missing::FileSystem(name));
        }
    }
    if watchers().is_some_and(|limit| limit < WATCHERS) {
        missing.push(Missing::Watchers);
    }
    missing
}

fn watchers() -> Option<u32> {
    fs::read_to_string(WATCHERS_LIMIT).ok()?.trim().parse().ok()
}

/// [`missing`] as the error that starting would give.
///
/// # Errors
/// [`LabError::Needs`] unless nothing is missing.
pub fn check() -> Result<(), LabError> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabError::Needs(
        missing.iter().map(ToString::to_string).collect(),
    ))
}

/// Where a system program is.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    process::SEARCH_PATH
        .split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| {
            fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}

/// Whether the kernel has a file system, if need be after loading its module.
fn kernel_has(name: &str) -> bool {
    let known = || {
        fs::read_to_string("/proc/filesystems")
            .is_ok_and(|list| list.lines().any(|l| l.split('\t').nth(1) == Some(name)))
    };
    known()
        || (process::capture(
            process::command("modprobe").arg(name),
            None,
            Duration::from_secs(20),
        )
        .is_ok()
            && known())
}

/// Installs the packages of the programs that are missing, and of those that only some tests use.
/// Returns them. Raises the limit of watchers, until the next boot.
///
/// No service is started: packages of daemons would otherwise bring up a second LXD, host-wide.
///
/// # Errors
/// When the process is not root's, the host has no apt-get, or apt-get fails.
pub fn install(say: &dyn Fn(&str)) -> Result<Vec<&'static str>, LabError> {
    let mut packages: Vec<&'static str> = missing()
        .into_iter()
        .filter_map(|missing| match missing {
            Missing::Program { package, .. } => Some(package),
            _ => None,
        })
        .collect();
    packages.extend(
        EXTRA_PROGRAMS
            .iter()
            .filter(|(program, _)| find_program(program).is_none())
            .map(|&(_, package)| package),
    );
    packages.sort_unstable();
    packages.dedup();
    if watchers().is_some_and(|limit| limit < WATCHERS) && rustix::process::geteuid().is_root() {
        fs::write(WATCHERS_LIMIT, WATCHERS.to_string())
            .map_err(LabError::io("write", WATCHERS_LIMIT))?;
        say(&format!("set fs.inotify.max_user_instances to {WATCHERS}"));
    }
    if packages.is_empty() {
        return Ok(packages);
    }
    if !rustix::process::geteuid().is_root() || find_program("apt-get").is_none() {
        return Err(LabError::Needs(vec![format!(
            "root on Debian, to install {}",
            packages.join(" ")
        )]));
    }
    say(&format!("installing {}", packages.join(" ")));
    // Some container hosts delete apt's archives after each run of dpkg, and apt runs it several
    // times: the archives are kept elsewhere meanwhile.
    let archives = tempfile::tempdir().map_err(LabError::io("create", std::env::temp_dir()))?;
    let partial = archives.path().join("partial");
    fs::create_dir(&partial).map_err(LabError::io("create", &partial))?;
    let fetch_limit = Duration::from_secs(600);
    process::succeed(
        process::command("apt-get").args(["update", "-q"]),
        None,
        fetch_limit,
    )?;
    let denied = DenyStart::new()?;
    let installed = process::succeed(
        process::command("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-q", "--no-install-recommends", "-o"])
            .arg(format!(
                "Dir::Cache::archives={}",
                archives.path().display()
            ))
            .args(&packages),
        None,
        fetch_limit,
    );
    drop(denied);
    installed?;
    if Path::new("/run/systemd/system").exists() {
        // They were installed for tests alone, which start their own; not even the next boot should.
        let units: &[(&str, &[&str])] = &[
            ("lxd", &["lxd.socket", "lxd-containers.service"]),
            ("openssh-server", &["ssh.service"]),
            ("tor", &["tor.service"]),
        ];
        for (package, units) in units {
            if packages.contains(package) {
                process::succeed(
                    process::command("systemctl")
                        .args(["disable", "--now"])
                        .args(*units),
                    None,
                    Duration::from_secs(60),
                )?;
            }
        }
    }
    Ok(packages)
}

/// While it is there, packages' scripts start no service (invoke-rc.d asks this file).
struct DenyStart {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl DenyStart {
    fn new() -> Result<Self, LabError> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(LabError::io("write", POLICY))?;
        let denied = Self { ours: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .map_err(LabError::io("set the mode of", POLICY))?;
        Ok(denied)
    }
}

impl Drop for DenyStart {
    fn drop(&mut self) {
        if self.ours {
            // Only root may have written it, so root can remove it.
            let _ = fs::remove_file(POLICY);
        }
    }
}
