//! What is written down about a lab, in `lab.json` of its folder.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use super::{LabError, Release, subnet::Subnet};

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MachineRecord {
    /// Its number, from 1.
    pub number: u8,
    /// Its host name, `node` and the number.
    pub name: String,
    /// Its address in the lab's network.
    pub address: Ipv4Addr,
    /// Its IPv6 address, which it chose itself from the lab's prefix.
    pub ipv6: Option<Ipv6Addr>,
}

/// One lab.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabRecord {
    /// The name of the lab and of its folder.
    pub id: String,
    /// What its machines run.
    pub release: Release,
    /// Whether it ends with the process that started it.
    pub attached: bool,
    /// The supervisor, as a process of the host.
    pub supervisor: u32,
    /// The first process of the lab's namespaces, as a process of the host; 0 before there is one.
    pub init: u32,
    /// Its network.
    pub subnet: Subnet,
    /// Whether the host forwarded IPv4 packets before the lab was there.
    pub forwarding_before: bool,
    /// Its machines.
    pub machines: Vec<MachineRecord>,
}

/// The files in a lab's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
    /// Locked by the supervisor for as long as it lives: a lab whose file nobody locks is dead.
    pub(crate) fn alive(&self) -> PathBuf {
        self.0.join("alive")
    }
    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("lab.json")
    }
    /// `LXD_DIR` of the outer daemon.
    pub(crate) fn lxd(&self) -> PathBuf {
        self.0.join("lxd")
    }
    /// Where the `lxc` client keeps what it remembers.
    pub(crate) fn lxc_config(&self) -> PathBuf {
        self.0.join("lxc")
    }
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }
    pub(crate) fn ssh_config(&self) -> PathBuf {
        self.0.join("ssh_config")
    }
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }
    /// The private key that opens both users' accounts on every machine.
    pub(crate) fn identity(&self) -> PathBuf {
        self.0.join("id_ed25519")
    }

    pub(crate) fn read_record(&self) -> Result<LabRecord, LabError> {
        let path = self.record();
        let text = fs::read(&path).map_err(LabError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| LabError::Answer {
            what: path.display().to_string(),
            answer: error.to_string(),
        })
    }

    pub(crate) fn write_record(&self, record: &LabRecord) -> Result<(), LabError> {
        let path = self.record();
        let json = serde_json::to_vec_pretty(record).map_err(|error| LabError::Answer {
            what: path.display().to_string(),
            answer: error.to_string(),
        })?;
        let next = path.with_extension("next");
        fs::write(&next, json).map_err(LabError::io("write", &next))?;
        fs::rename(&next, &path).map_err(LabError::io("rename", &next))
    }
}
