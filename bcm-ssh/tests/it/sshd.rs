//! A real sshd on loopback: this process listens, and starts one `sshd -i` a connection.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use bcm_ssh::{Destination, HostKeyPolicy, Ssh, SshOptions};

const SSHD: &str = "/usr/sbin/sshd";

/// What is missing for these tests, if anything.
pub(crate) fn missing() -> Option<String> {
    if !Path::new(SSHD).exists() {
        return Some("needs sshd (Debian package openssh-server)".to_owned());
    }
    if is_root() && !private_run(&["true"]).status().is_ok_and(|s| s.success()) {
        return Some("needs /run/sshd, or to be run without root".to_owned());
    }
    None
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// A command with a `/run` of its own: root's sshd wants a folder there.
fn private_run(argv: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec"]).arg(
        "[ -d /run/sshd ] || { mount -t tmpfs -o mode=755 tmpfs /run; mkdir -m 755 /run/sshd; }\n\
         exec \"$@\"",
    );
    command.arg("sh").args(argv);
    command
}

/// An sshd with a host key and one user, the one that runs the tests.
pub(crate) struct Sshd {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

impl Sshd {
    /// One with usual settings.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One with these settings before the usual ones.
    pub(crate) fn with(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        keygen(&folder.path().join("host_key"));
        keygen(&folder.path().join("id"));
        fs::copy(
            folder.path().join("id.pub"),
            folder.path().join("authorized"),
        )
        .unwrap();
        let config = format!(
            "{settings}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PidFile none\nLogLevel DEBUG1\nSubsystem sftp internal-sftp\n",
            path("host_key"),
            path("authorized"),
        );
        fs::write(folder.path().join("sshd_config"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (config, log) = (folder.path().join("sshd_config"), folder.path().join("log"));
        // Ends with the test program.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                serve(connection, &config, &log);
            }
        });
        Self { folder, address }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The host's public key, without its comment.
    pub(crate) fn public_key(&self) -> String {
        let text = fs::read_to_string(self.path("host_key.pub")).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The host key's fingerprint, as ssh-keygen prints it.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.path("host_key.pub"))
    }

    /// Writes a `known_hosts` that has this public key for the host.
    pub(crate) fn know(&self, public_key: &str) {
        let line = format!("# mine\n[127.0.0.1]:{} {public_key}\n", self.address.port());
        fs::write(self.path("known_hosts"), line).unwrap();
    }

    pub(crate) fn destination(&self) -> Destination {
        self.address.to_string().parse().unwrap()
    }

    /// Options with the right key, an empty configuration and the test's own `known_hosts`.
    pub(crate) fn options(&self, policy: HostKeyPolicy) -> SshOptions {
        let config = self.path("ssh_config");
        if !config.exists() {
            fs::write(&config, "").unwrap();
        }
        SshOptions::new(policy, self.folder.path())
            .ssh_config(config)
            .known_hosts(self.path("known_hosts"))
            .identity(self.path("id"))
    }

    /// A connection, with the host key known.
    pub(crate) async fn connect(&self) -> Ssh {
        self.know(&self.public_key());
        let options = self.options(HostKeyPolicy::Strict);
        Ssh::connect(&self.destination(), &options)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn serve(connection: std::net::TcpStream, config: &Path, log: &Path) {
    let sshd = [
        SSHD,
        "-i",
        "-f",
        config.to_str().unwrap(),
        "-E",
        log.to_str().unwrap(),
    ];
    let mut command = if is_root() {
        private_run(&sshd)
    } else {
        let mut command = Command::new(SSHD);
        command.args(&sshd[1..]);
        command
    };
    let input = OwnedFd::from(connection.try_clone().unwrap());
    let child = command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(OwnedFd::from(connection)))
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut child) = child {
        thread::spawn(move || child.wait());
    }
}

pub(crate) fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn fingerprint(path: &Path) -> String {
    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').nth(1).unwrap().to_owned()
}
