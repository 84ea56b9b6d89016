//! The machines of one cluster, as they are kept in a folder.
//!
//! ```text
//! CLUSTER.lock            whoever works on them
//! CLUSTER/fleet.json      who makes them, and what each is given
//! CLUSTER/id_ed25519      with which they are logged in to
//! CLUSTER/known_hosts     their keys, by name
//! CLUSTER/nodeN/          one machine: node.json, disk, seed, console.log, sockets …
//! CLUSTER/.nodeN/         one that is not whole yet
//! CLUSTER/switch/         the switch's sockets
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::lock::FolderLock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::VmError;
use super::image::Boot;

/// Who logs in to machines.
pub const USER: &str = "bcm";

/// The most machines of a fleet: as many ports as its switch has.
pub(crate) const MOST: u8 = 16;

/// The network that a fleet's machines have among themselves. Nobody else is on it, so that it is
/// the same for all.
const LAN: [u8; 3] = [10, 117, 98];

/// A network for the bridge of an engine in a machine of QEMU's, beside that one. An engine that looks
/// for one itself tries addresses until one does not answer, and behind user networking there are
/// hosts on which all do.
pub const BRIDGE_NETWORK: &str = "10.117.99.1/24";

/// The length of its prefix.
pub(crate) const LAN_PREFIX: u8 = 24;

/// Who makes machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// QEMU, started by BCM.
    Qemu,
    /// Canonical's Multipass.
    Multipass,
}

/// What a machine is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// The disk's size in bytes; it takes room as it is filled.
    pub disk: u64,
}

impl Default for Resources {
    /// 2 processors, 2 GiB of memory, a disk of 10 GiB.
    fn default() -> Self {
        Self {
            cpus: 2,
            memory: 2 << 30,
            disk: 10 << 30,
        }
    }
}

/// The fleet's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) provider: Provider,
    pub(crate) resources: Resources,
}

/// One machine of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// From 1.
    pub number: u8,
    /// The name by which ssh reaches it, and its own name: `CLUSTER-nodeN`.
    pub host: String,
    /// What it is given.
    pub resources: Resources,
    /// Names it among processes.
    pub(crate) uuid: String,
    /// How it boots; nothing is known of it with Multipass.
    pub(crate) boot: Option<Boot>,
    /// Where ssh finds it: a port of loopback, or an address of its own.
    pub(crate) at: (IpAddr, u16),
}

/// How a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It runs; its system may still boot.
    Running,
    /// It does not run.
    Stopped,
}

/// The name by which the machine `number` of `cluster` is reached.
#[must_use]
pub fn host_of(cluster: &str, number: u8) -> String {
    format!("{cluster}-node{number}")
}

impl Node {
    /// Its folder's name.
    pub(crate) fn folder(&self) -> String {
        format!("node{}", self.number)
    }

    /// Its address among the fleet's machines.
    #[must_use]
    pub fn lan_address(&self) -> Ipv4Addr {
        let [a, b, c] = LAN;
        Ipv4Addr::new(a, b, c, 10 + self.number)
    }

    /// The address at which ssh finds it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.at.0
    }

    /// The Ethernet address of its interface `interface`: locally administered, and the same in
    /// every fleet, as no two are on one wire.
    pub(crate) fn mac(&self, interface: u8) -> String {
        format!("52:54:00:62:{interface:02x}:{:02x}", self.number)
    }
}

/// The machines of a cluster.
#[derive(Debug, Clone)]
pub struct Fleet {
    folder: PathBuf,
    cluster: String,
}

impl Fleet {
    /// That of `cluster` in the folder `vms`, whether it is there or not.
    ///
    /// # Errors
    /// The name is not one that a cluster can have.
    pub fn of(vms: &Path, cluster: &str) -> Result<Self, VmError> {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        // Longest host name: 63, of which `-node16` is a part.
        if cluster.is_empty()
            || cluster.len() > 50
            || !cluster.bytes().all(letters)
            || cluster.starts_with('-')
            || cluster.ends_with('-')
        {
            return Err(VmError::Wanted(format!(
                "{cluster:?} is no name for a cluster of virtual machines: it takes letters, digits and \
                 hyphens, 50 at most"
            )));
        }
        Ok(Self {
            folder: vms.join(cluster),
            cluster: cluster.to_owned(),
        })
    }

    /// All that there are in the folder `vms`, also those that are not whole.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(vms: &Path) -> Result<Vec<Self>, VmError> {
        let entries = match fs::read_dir(vms) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(VmError::io("read", vms)(error)),
        };
        let mut fleets: Vec<Self> = entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| Self::of(vms, entry.file_name().to_str()?).ok())
            .collect();
        fleets.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        Ok(fleets)
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Whether there is anything of it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A machine's folder.
    pub(crate) fn node_folder(&self, node: &Node) -> PathBuf {
        self.folder.join(node.folder())
    }

    /// The private key that logs in.
    pub(crate) fn login_key(&self) -> PathBuf {
        self.folder.join("id_ed25519")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Takes the lock, so that nobody else works on it.
    pub(crate) fn lock(&self) -> Result<FolderLock, VmError> {
        if let Some(vms) = self.folder.parent() {
            private_folder(vms)?;
        }
        FolderLock::acquire(&self.lock_path()).map_err(VmError::Busy)
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.folder.with_extension("lock")
    }

    pub(crate) fn record(&self) -> Result<Option<Record>, VmError> {
        read(&self.folder.join("fleet.json"))
    }

    pub(crate) fn save(&self, record: &Record) -> Result<(), VmError> {
        write(&self.folder.join("fleet.json"), record)
    }

    /// Who makes its machines, where that is known.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub fn provider(&self) -> Result<Option<Provider>, VmError> {
        Ok(self.record()?.map(|record| record.provider))
    }

    /// Its machines that are whole, by number.
    ///
    /// # Errors
    /// What is kept of them cannot be read.
    pub fn nodes(&self) -> Result<Vec<Node>, VmError> {
        let mut nodes = Vec::new();
        for number in 1..=MOST {
            let path = self.folder.join(format!("node{number}")).join("node.json");
            nodes.extend(read::<Node>(&path)?);
        }
        Ok(nodes)
    }

    pub(crate) fn save_node(&self, node: &Node) -> Result<(), VmError> {
        write(&self.node_folder(node).join("node.json"), node)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VmError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| VmError::Damaged {
                path: path.to_owned(),
                source,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(VmError::io("read", path)(error)),
    }
}

pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), VmError> {
    // Names and numbers cannot fail to serialize.
    let text = serde_json::to_vec_pretty(value).unwrap_or_default();
    Ok(atomic_file::write(path, &text, 0o600)?)
}

/// Makes a folder that only the user may enter, as it was said there.
pub(crate) fn private_folder(path: &Path) -> Result<(), VmError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(VmError::io("make the folder", path))
}

/// Removes a folder with all that is in it, where it is there; never what is mounted below it, which is
/// somebody else's.
pub(crate) fn remove_folder(path: &Path) -> Result<(), VmError> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(mounted) = mounted_below(path, &mounts) {
        let why = io::Error::other(format!("{mounted} is mounted there; unmount it first"));
        return Err(VmError::io("remove", path)(why));
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(VmError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// A mount point below `path`, out of the text of `mountinfo`, proc_pid_mountinfo(5), where a space is `\040`.
fn mounted_below<'a>(path: &Path, mounts: &'a str) -> Option<&'a str> {
    let below = format!("{}/", path.to_string_lossy().replace(' ', "\\040"));
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.find(|point| point.starts_with(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_is_not_removed() {
        let mounts =
            "36 35 98:0 / /a\\040b/proc rw - proc proc rw\n37 1 0:5 / /c rw - tmpfs x rw\n";
        let found = mounted_below(Path::new("/a b"), mounts);
        assert_eq!(found, Some("/a\\040b/proc"));
        for free in ["/a", "/c", "/a b/proc", "/a b/proc/x"] {
            assert_eq!(mounted_below(Path::new(free), mounts), None, "{free}");
        }
        assert!(fs::read_to_string("/proc/self/mountinfo").is_ok());
    }

    pub(crate) fn node(number: u8) -> Node {
        Node {
            number,
            host: host_of("home", number),
            resources: Resources::default(),
            uuid: format!("uuid-{number}"),
            boot: None,
            at: (Ipv4Addr::LOCALHOST.into(), 4000),
        }
    }

    #[test]
    fn only_whole_machines_count_and_nobody_else_looks_in() {
        let vms = tempfile::tempdir().unwrap();
        let vms = vms.path().join("vms");
        let fleet = Fleet::of(&vms, "home").unwrap();
        assert!(!fleet.is_there());
        let lock = fleet.lock().unwrap();
        assert!(matches!(fleet.lock(), Err(VmError::Busy(_))));
        drop(lock);
        private_folder(fleet.folder()).unwrap();
        for name in ["node2", ".node1", "node3"] {
            private_folder(&fleet.folder().join(name)).unwrap();
        }
        fleet.save_node(&node(2)).unwrap();
        assert_eq!(fleet.nodes().unwrap(), [node(2)]);
        assert_eq!(Fleet::all(&vms).unwrap().len(), 1);
        let mode = fs::metadata(fleet.folder()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(fleet.folder().join("node2/node.json"), "{").unwrap();
        let error = fleet.nodes().unwrap_err();
        assert!(error.to_string().contains("node.json"), "{error}");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        for name in ["", "../x", "a b", "-a", "a.b", &"x".repeat(51)] {
            assert!(Fleet::of(Path::new("/vms"), name).is_err(), "{name}");
        }
    }

    #[test]
    fn addresses_are_different_and_stay() {
        assert_eq!(node(1).lan_address(), Ipv4Addr::new(10, 117, 98, 11));
        assert_eq!(node(16).lan_address(), Ipv4Addr::new(10, 117, 98, 26));
        assert_ne!(node(1).mac(0), node(1).mac(1));
    }
}
