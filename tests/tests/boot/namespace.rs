//! A network of this process's own, in which there is nothing but itself.

use std::process::{Command, ExitCode};
use std::{env, fs};

/// What tells the inner process that it is there.
const INSIDE: &str = "BCM_BOOT_INSIDE";

/// Runs this program again in namespaces of its own, unless it is there already. There, loopback is the
/// only network, and names are asked of a server on it. The exit code of the inner process, or `None`
/// inside.
pub(crate) fn enter() -> Option<ExitCode> {
    #[allow(clippy::disallowed_methods, reason = "set by the outer process")]
    if env::var_os(INSIDE).is_some() {
        return None;
    }
    let fail = |what: &str| {
        eprintln!("{what}");
        Some(ExitCode::FAILURE)
    };
    let Ok(folder) = tempfile::tempdir() else {
        return fail("no temporary folder could be made");
    };
    let resolver = folder.path().join("resolv.conf");
    if fs::write(&resolver, "nameserver 127.0.0.1\n").is_err() {
        return fail("the temporary folder cannot be written to");
    }
    let Ok(program) = env::current_exe() else {
        return fail("this program does not know where it is");
    };
    let status = Command::new("unshare")
        .args(ARGUMENTS)
        .args([
            "sh",
            "-c",
            "ip link set lo up && mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"",
        ])
        .arg(&resolver)
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    match status {
        Ok(status) if status.success() => Some(ExitCode::SUCCESS),
        Ok(_) => Some(ExitCode::FAILURE),
        Err(error) => fail(&format!("could not run unshare: {error}")),
    }
}

/// Namespaces for networks and mounts, in one for users, so that root is not needed.
const ARGUMENTS: [&str; 4] = ["--user", "--map-root-user", "--net", "--mount"];

/// Whether this machine lets a process have such namespaces.
pub(crate) fn is_possible() -> bool {
    Command::new("unshare")
        .args(ARGUMENTS)
        .args(["ip", "link", "set", "lo", "up"])
        .output()
        .is_ok_and(|output| output.status.success())
}
