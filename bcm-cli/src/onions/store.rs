//! What is kept of them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_ssh::onion::{ClientKey, OnionAddress};
use serde::{Deserialize, Serialize};

use super::OnionName;
use crate::registry::list;

/// All of them.
#[derive(Debug)]
pub(crate) struct Onions {
    folder: PathBuf,
    hosts: BTreeMap<OnionName, Onion>,
}

/// One of them, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Onion {
    /// Where it is, with `.onion`.
    pub(crate) address: String,
    /// Who logs in, where that is not ssh's own business.
    pub(crate) user: Option<String>,
    /// The port of SSH.
    pub(crate) port: u16,
    /// The Tor that leads there.
    pub(crate) through: Through,
    /// Whether there is a client's key for it.
    pub(crate) key: bool,
}

/// The Tor that leads to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Through {
    /// One of the user's own.
    OwnTor,
    /// One that somebody else runs, with its SOCKS address.
    Socks(String),
    /// The system's, which was given the key, with its SOCKS address.
    SystemTor(String),
}

/// They cannot be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OnionError {
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged; move it away, and add the machines again", path.display())]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("could not make the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("could not keep the machine")]
    Write(#[from] AtomicFileError),
    #[error("could not remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error(
        "there is no machine {name} that is reached through Tor; known: {}",
        list(known)
    )]
    Unknown { name: OnionName, known: Vec<String> },
}

impl Onions {
    /// Those of the state folder `state`; none where nothing is there.
    pub(crate) fn load(state: &Path) -> Result<Self, OnionError> {
        let folder = state.join("onion");
        let path = folder.join("hosts.json");
        let hosts = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| OnionError::Damaged { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(OnionError::Read { path, source }),
        };
        Ok(Self { folder, hosts })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with the clients' keys, as Tor reads them.
    pub(crate) fn auth(&self) -> PathBuf {
        self.folder.join("auth")
    }

    fn key_path(&self, name: &OnionName) -> PathBuf {
        self.auth().join(format!("{name}.auth_private"))
    }

    pub(crate) fn hosts(&self) -> &BTreeMap<OnionName, Onion> {
        &self.hosts
    }

    /// By name, or by address.
    pub(crate) fn find(&self, host: &str) -> Option<(&OnionName, &Onion)> {
        self.hosts
            .iter()
            .find(|(name, onion)| name.as_str() == host || onion.address == host)
    }

    pub(crate) fn get(&self, name: &OnionName) -> Result<&Onion, OnionError> {
        self.hosts.get(name).ok_or_else(|| OnionError::Unknown {
            name: name.clone(),
            known: self.hosts.keys().map(ToString::to_string).collect(),
        })
    }

    /// Keeps a machine, its key first.
    pub(crate) fn add(
        &mut self,
        name: OnionName,
        onion: Onion,
        address: &OnionAddress,
        key: Option<&ClientKey>,
    ) -> Result<(), OnionError> {
        for folder in [&self.folder, &self.auth()] {
            private_folder(folder)?;
        }
        match key {
            Some(key) => atomic_file::write(
                &self.key_path(&name),
                key.auth_private(address).as_bytes(),
                0o600,
            )?,
            None => self.remove_key(&name)?,
        }
        self.hosts.insert(name, onion);
        self.save()
    }

    /// Forgets a machine, its key first.
    pub(crate) fn remove(&mut self, name: &OnionName) -> Result<(), OnionError> {
        self.remove_key(name)?;
        self.hosts.remove(name);
        // Whoever needs settings for ssh again writes them again.
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"ssh_config")
            {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| OnionError::Remove { path, source })?;
            }
        }
        self.save()
    }

    fn remove_key(&self, name: &OnionName) -> Result<(), OnionError> {
        let path = self.key_path(name);
        atomic_file::remove_if_there(&path).map_err(|source| OnionError::Remove { path, source })
    }

    /// Removes all that a Tor of the user's own left.
    pub(crate) fn remove_tor(&self) -> Result<(), OnionError> {
        let path = self.folder.join("tor");
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(OnionError::Remove { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Writes the file `name` of this folder where it is not so already.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, OnionError> {
        let path = self.folder.join(name);
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            private_folder(&self.folder)?;
            atomic_file::write(&path, text.as_bytes(), 0o600)?;
        }
        Ok(path)
    }

    fn save(&self) -> Result<(), OnionError> {
        // Names and lists of text cannot fail to serialize.
        let text = serde_json::to_vec_pretty(&self.hosts).unwrap_or_default();
        Ok(atomic_file::write(
            &self.folder.join("hosts.json"),
            &text,
            0o600,
        )?)
    }
}

fn private_folder(path: &Path) -> Result<(), OnionError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(|source| OnionError::Folder {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";

    fn onion() -> Onion {
        Onion {
            address: ADDRESS.to_owned(),
            user: Some("bcm".to_owned()),
            port: 22,
            through: Through::OwnTor,
            key: true,
        }
    }

    #[test]
    fn only_the_user_reads_keys_and_nothing_else_has_them() {
        let state = tempfile::tempdir().unwrap();
        let key = ClientKey::generate().unwrap();
        let address: OnionAddress = ADDRESS.parse().unwrap();
        let name: OnionName = "node1".parse().unwrap();
        let mut onions = Onions::load(state.path()).unwrap();
        onions
            .add(name.clone(), onion(), &address, Some(&key))
            .unwrap();
        onions.write("ssh_config", "Host x").unwrap();
        let mode = |name: &str| {
            let of = fs::metadata(state.path().join("onion").join(name)).unwrap();
            of.permissions().mode() & 0o777
        };
        for (name, wanted) in [
            ("", 0o700),
            ("auth", 0o700),
            ("auth/node1.auth_private", 0o600),
            ("hosts.json", 0o600),
            ("ssh_config", 0o600),
        ] {
            assert_eq!(mode(name), wanted, "{name}");
        }
        let hosts = fs::read_to_string(state.path().join("onion/hosts.json")).unwrap();
        assert!(!hosts.contains(&**key.reveal()), "{hosts}");

        let mut onions = Onions::load(state.path()).unwrap();
        assert_eq!(onions.find("node1").unwrap().1, &onion());
        assert_eq!(onions.find(ADDRESS).unwrap().0, &name);
        onions.remove(&name).unwrap();
        assert!(!state.path().join("onion/auth/node1.auth_private").exists());
        assert!(Onions::load(state.path()).unwrap().hosts().is_empty());
    }

    #[test]
    fn a_damaged_list_is_named() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("onion")).unwrap();
        fs::write(state.path().join("onion/hosts.json"), "[").unwrap();
        let error = Onions::load(state.path()).unwrap_err();
        assert!(error.to_string().contains("hosts.json"), "{error}");
    }
}
