//! The clusters that this user made: names, hosts and engines, never a secret.
//!
//! Kept in `$XDG_STATE_HOME/bcm/clusters.json`, readable by the user alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_lxd::Flavour;
use serde::{Deserialize, Serialize};

/// The registry's file and content.
#[derive(Debug)]
pub(crate) struct Registry {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// The cluster that commands work on.
    active: Option<String>,
    #[serde(default)]
    clusters: BTreeMap<String, Known>,
}

/// What is kept of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Its engine.
    pub(crate) engine: Flavour,
    /// Its machines, as they are reached.
    pub(crate) hosts: Vec<String>,
    /// The `ssh_config` that it was made with, where that was not the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh_config: Option<PathBuf>,
}

/// The registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged; move it away, and name the hosts with --host", path.display())]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error("could not remember the cluster")]
    Write(#[from] AtomicFileError),
    /// Its folder cannot be made.
    #[error("could not make the folder {}", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    /// There is no such cluster.
    #[error("there is no cluster {name}; known: {}", list(known))]
    Unknown { name: String, known: Vec<String> },
    /// No cluster is in use.
    #[error("no cluster is in use")]
    NoneActive,
}

/// What there is to choose from, for people.
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

impl Registry {
    /// Reads the registry of the state folder `folder`; an empty one where there is none.
    pub(crate) fn load(folder: &Path) -> Result<Self, RegistryError> {
        let path = folder.join("clusters.json");
        let content = match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| RegistryError::Damaged {
                    path: path.clone(),
                    source,
                })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(source) => return Err(RegistryError::Read { path, source }),
        };
        Ok(Self { path, content })
    }

    /// The name of the cluster in use.
    pub(crate) fn active(&self) -> Option<&str> {
        self.content.active.as_deref()
    }

    /// All clusters by name.
    pub(crate) fn clusters(&self) -> &BTreeMap<String, Known> {
        &self.content.clusters
    }

    /// The cluster `name`, or the one in use.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<(&str, &Known), RegistryError> {
        let name = name.or(self.active()).ok_or(RegistryError::NoneActive)?;
        self.content
            .clusters
            .get_key_value(name)
            .map(|(name, known)| (name.as_str(), known))
            .ok_or_else(|| RegistryError::Unknown {
                name: name.to_owned(),
                known: self.content.clusters.keys().cloned().collect(),
            })
    }

    /// Remembers a cluster and uses it.
    pub(crate) fn remember(&mut self, name: &str, known: Known) -> Result<(), RegistryError> {
        self.content.clusters.insert(name.to_owned(), known);
        self.content.active = Some(name.to_owned());
        self.save()
    }

    /// Uses the cluster `name` from now on.
    pub(crate) fn activate(&mut self, name: &str) -> Result<(), RegistryError> {
        self.find(Some(name))?;
        self.content.active = Some(name.to_owned());
        self.save()
    }

    /// Forgets a cluster.
    pub(crate) fn forget(&mut self, name: &str) -> Result<(), RegistryError> {
        self.content.clusters.remove(name);
        if self.active() == Some(name) {
            self.content.active = None;
        }
        self.save()
    }

    fn save(&self) -> Result<(), RegistryError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| RegistryError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        }
        // Names and lists of text cannot fail to serialize.
        let text = serde_json::to_vec_pretty(&self.content).unwrap_or_default();
        Ok(atomic_file::write(&self.path, &text, 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_remembered_used_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::load(folder.path()).unwrap();
        assert!(matches!(
            registry.find(None),
            Err(RegistryError::NoneActive)
        ));
        let known = Known {
            engine: Flavour::Incus,
            hosts: vec!["a".to_owned()],
            ssh_config: None,
        };
        registry.remember("home", known.clone()).unwrap();
        registry.remember("lab", known.clone()).unwrap();
        let mut registry = Registry::load(folder.path()).unwrap();
        assert_eq!(registry.find(None).unwrap(), ("lab", &known));
        registry.activate("home").unwrap();
        assert!(registry.activate("nope").is_err());
        registry.forget("home").unwrap();
        assert_eq!(Registry::load(folder.path()).unwrap().active(), None);
    }

    #[test]
    fn a_damaged_registry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clusters.json"), "{").unwrap();
        let error = Registry::load(folder.path()).unwrap_err();
        assert!(error.to_string().contains("clusters.json"), "{error}");
    }
}
