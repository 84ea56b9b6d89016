//! A whole Tor network on one address of this machine, from Debian's `tor`: three directory
//! authorities and three relays. It agrees on itself in about half a minute.
//!
//! A Tor that is given [`TorNetwork::torrc`] belongs to it and to no other network.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    LabError,
    process::{command, succeed},
};

/// How long one small program may take on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// A vote is held every 20 s; on a machine that is very busy, some are lost.
const AGREEMENT: Duration = Duration::from_secs(300);

/// Such a network; it ends when this is dropped, and when this process ends.
#[derive(Debug)]
pub struct TorNetwork {
    folder: TempDir,
    members: Vec<Child>,
    torrc: String,
}

impl TorNetwork {
    /// Starts one that listens on `address`. It is not of use before [`TorNetwork::wait`].
    ///
    /// # Errors
    /// Debian's `tor` is not there, or something cannot be started.
    pub fn start(address: Ipv4Addr) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("create", std::env::temp_dir()))?;
        let mut network = Self {
            folder,
            members: Vec::new(),
            torrc: "TestingTorNetwork 1\n".to_owned(),
        };
        let ports = free_ports(address)?;
        let mut members = Vec::new();
        for (number, ports) in (1..).zip(ports.chunks(2)) {
            let name = if number <= 3 { "authority" } else { "relay" };
            let data = network.folder.path().join(format!("{name}{number}"));
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&data)
                .map_err(LabError::io("create", &data))?;
            let mut torrc = format!(
                "DataDirectory {}\nLog notice file {}\nNickname {name}{number}\nAddress {address}\n\
                 ORPort {address}:{}\nSocksPort 0\nAssumeReachable 1\nExitPolicy reject *:*\n\
                 __OwningControllerProcess {}\n",
                data.display(),
                data.join("log").display(),
                ports[0],
                std::process::id(),
            );
            if number <= 3 {
                let dir_port = format!("{address}:{}", ports[1]);
                torrc.push_str(&format!("DirPort {dir_port}\n{AUTHORITY}"));
                let identity = authority_keys(&data, &dir_port)?;
                let fingerprint = fingerprint(&data, &torrc)?;
                network.torrc.push_str(&format!(
                    "DirAuthority authority{number} orport={} v3ident={identity} {dir_port} {fingerprint}\n",
                    ports[0]
                ));
            }
            members.push((data, torrc));
        }
        // All have to know all authorities.
        for (data, torrc) in members {
            let path = data.join("torrc");
            fs::write(&path, format!("{torrc}{}", network.torrc))
                .map_err(LabError::io("write", &path))?;
            let child = command("tor")
                .args(["--defaults-torrc", "/dev/null", "--quiet", "-f"])
                .arg(&path)
                .stdin(Stdio::null())
                .spawn()
                .map_err(LabError::io("start", "tor"))?;
            network.members.push(child);
        }
        Ok(network)
    }

    /// Waits until the authorities agree on a network.
    ///
    /// # Errors
    /// They do not within five minutes.
    pub fn wait(&self) -> Result<(), LabError> {
        let begin = Instant::now();
        let log = self.folder.path().join("relay4/log");
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("Bootstrapped 100%") {
                return Ok(());
            }
            if begin.elapsed() > AGREEMENT {
                return Err(bcm_core::wait::Timeout {
                    what: "a Tor network".to_owned(),
                    waited: begin.elapsed(),
                    last_seen: text.lines().last().unwrap_or("nothing").to_owned(),
                }
                .into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// The lines of a torrc by which a Tor belongs to it.
    #[must_use]
    pub fn torrc(&self) -> &str {
        &self.torrc
    }
}

impl Drop for TorNetwork {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that ended already needs no end.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

const AUTHORITY: &str = "AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\n\
    ContactInfo nobody@example.com\n\
    TestingV3AuthInitialVotingInterval 20\nTestingV3AuthInitialVoteDelay 4\n\
    TestingV3AuthInitialDistDelay 4\nV3AuthVotingInterval 20\nV3AuthVoteDelay 4\n\
    V3AuthDistDelay 4\nTestingDirAuthVoteGuard *\nTestingDirAuthVoteHSDir *\n\
    TestingDirAuthVoteExit *\n";

/// Two ports for each of six members, found all at once so that they differ. None of those that
/// connections are given on their way out: one of these could take another's before it listens.
fn free_ports(address: Ipv4Addr) -> Result<Vec<u16>, LabError> {
    let listeners: Vec<TcpListener> = (21_000..32_000)
        .filter_map(|port| TcpListener::bind((address, port)).ok())
        .take(12)
        .collect();
    let ports: Result<Vec<u16>, _> = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect();
    match ports {
        Ok(ports) if ports.len() == 12 => Ok(ports),
        Ok(_) => Err(LabError::Needs(vec![format!(
            "twelve free ports on {address}"
        )])),
        Err(source) => Err(LabError::io("listen on", address.to_string())(source)),
    }
}

/// Makes an authority's keys, and says which identity they have.
fn authority_keys(data: &Path, dir_port: &str) -> Result<String, LabError> {
    let keys = data.join("keys");
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&keys)
        .map_err(LabError::io("create", &keys))?;
    succeed(
        command("tor-gencert")
            .args(["--create-identity-key", "-m", "12", "-a", dir_port])
            .arg("-i")
            .arg(keys.join("authority_identity_key"))
            .arg("-s")
            .arg(keys.join("authority_signing_key"))
            .arg("-c")
            .arg(keys.join("authority_certificate"))
            .args(["--passphrase-fd", "0"]),
        Some(b"passphrase\n"),
        SOON,
    )?;
    let path = keys.join("authority_certificate");
    let certificate = fs::read_to_string(&path).map_err(LabError::io("read", &path))?;
    let identity = certificate
        .lines()
        .find_map(|line| line.strip_prefix("fingerprint "));
    identity.map(str::to_owned).ok_or_else(|| LabError::Answer {
        what: "tor-gencert".to_owned(),
        answer: certificate.clone(),
    })
}

/// Makes a relay's keys, and says their fingerprint.
fn fingerprint(data: &Path, torrc: &str) -> Result<String, LabError> {
    // An authority has to know one, whichever.
    let some = "DirAuthority some orport=1 v3ident=0000000000000000000000000000000000000001 \
        127.0.0.1:1 0000000000000000000000000000000000000001\n";
    let path = data.join("torrc");
    fs::write(&path, format!("TestingTorNetwork 1\n{torrc}{some}"))
        .map_err(LabError::io("write", &path))?;
    let said = succeed(
        command("tor")
            .args(["--defaults-torrc", "/dev/null", "--list-fingerprint", "-f"])
            .arg(&path),
        None,
        SOON,
    )?;
    let answer = said.stdout;
    // "NICKNAME FINGERPRINT" is the last line.
    let words = answer.lines().last().and_then(|line| line.split_once(' '));
    match words.map(|(_, fingerprint)| fingerprint.replace(' ', "")) {
        Some(fingerprint) if fingerprint.len() == 40 => Ok(fingerprint),
        _ => Err(LabError::Answer {
            what: "tor --list-fingerprint".to_owned(),
            answer,
        }),
    }
}
