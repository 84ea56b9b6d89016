//! What an application on a cluster is made of, as TOML says it.
//!
//! ```
//! use bcm_stack::manifest::Manifest;
//!
//! let manifest = Manifest::parse("hello", r#"
//!     about = "A page"
//!
//!     [[instance]]
//!     name = "web"
//!     replicas = "members"
//!     packages = ["nginx-light"]
//!
//!     [[instance.file]]
//!     path = "/var/www/html/index.html"
//!     content = "<p>hello</p>"
//!
//!     [[instance.unit]]
//!     name = "nginx.service"
//!
//!     [[instance.port]]
//!     listen = 8088
//!     connect = 80
//!
//!     [instance.health]
//!     http = "80/"
//! "#)?;
//! assert_eq!(manifest.instances[0].ports[0].connect(), 80);
//! # Ok::<(), bcm_stack::manifest::ManifestError>(())
//! ```

mod builtin;
mod check;
mod folder;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::builtin::{BUILT_IN, built_in};
pub use self::check::Mistake;
pub use self::folder::{Listed, find, list};

/// An application: kinds of instances, each with its replicas.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Its name: that of its file, without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The kinds of instances.
    #[serde(rename = "instance")]
    pub instances: Vec<Kind>,
}

/// A kind of instances that are all made alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kind {
    /// Its name, unique in the manifest: small letters, digits and dashes.
    pub name: String,
    /// How many there are of it. Default: one in each failure domain.
    #[serde(default)]
    pub replicas: Replicas,
    /// The most there are of it where they are counted by failure domains. Default 3.
    #[serde(default = "three")]
    pub at_most: usize,
    /// Kinds whose replicas have to be there before its own.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Debian's packages in it.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Whether systemd in it may make namespaces, which hardened units need. Default false.
    #[serde(default)]
    pub nesting: bool,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Volumes that outlive the instance.
    #[serde(default, rename = "volume")]
    pub volumes: Vec<Volume>,
    /// Files in it.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
    /// Units of systemd in it.
    #[serde(default, rename = "unit")]
    pub units: Vec<Unit>,
    /// Ports of the member that lead to it.
    #[serde(default, rename = "port")]
    pub ports: Vec<Port>,
    /// How one finds out whether it is well. Default: its units run.
    #[serde(default)]
    pub health: Health,
}

/// How many replicas there are of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Replicas {
    /// So many, in different failure domains as long as there are any.
    Count(usize),
    /// By what the cluster has.
    By(Spread),
    /// As [`Spread::Domains`].
    #[default]
    #[serde(skip)]
    Default,
}

/// What replicas are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// One in each failure domain, up to [`Kind::at_most`].
    Domains,
    /// One on each member.
    Members,
}

/// What an instance may use. Default: whatever the member has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Processors.
    pub cpu: Option<u32>,
    /// Memory, such as `512MiB`.
    pub memory: Option<String>,
}

/// A volume of the member's pool, one for each replica.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Volume {
    /// Its name within the kind.
    pub name: String,
    /// Where it is in the instance.
    pub path: String,
    /// The user that it belongs to. Default root.
    pub owner: Option<String>,
    /// How large it may get, such as `200GiB`, on pools that can hold it to that. Default: the pool.
    pub size: Option<String>,
}

/// A file in an instance. Exactly one of `content`, `source` and `made` says what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Where it is.
    pub path: String,
    /// Permission bits. Default `0o644`.
    #[serde(default = "readable")]
    pub mode: u32,
    /// The user that it belongs to. Default root.
    pub owner: Option<String>,
    /// Its text. `@INSTANCE@`, `@REPLICA@`, `@MEMBER@` and `@ADDRESS@` are replaced.
    pub content: Option<String>,
    /// A file beside the manifest, taken as it is.
    pub source: Option<String>,
    /// What BCM itself makes.
    pub made: Option<String>,
    /// Arguments with which it has to run there, as a program, before it takes its place.
    #[serde(default)]
    pub try_with: Vec<String>,
    /// Units that read it again without a restart when it changes. Default: all are restarted.
    #[serde(default)]
    pub reloads: Vec<String>,
}

/// A unit of systemd. Without `content`, `source` and `made` it is a package's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unit {
    /// Its name, such as `web.service`.
    pub name: String,
    /// Its text.
    pub content: Option<String>,
    /// A file beside the manifest.
    pub source: Option<String>,
    /// What BCM itself makes.
    pub made: Option<String>,
    /// Whether it is started, now and at boot. Default true.
    #[serde(default = "yes")]
    pub enable: bool,
}

/// A port of the member that leads into its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Port {
    /// The member's.
    pub listen: u16,
    /// The instance's, on its loopback. Default: the same.
    pub connect: Option<u16>,
    /// Whether it is on all addresses of the member, rather than on the one that members reach each
    /// other by. Default true.
    #[serde(default = "yes")]
    pub public: bool,
}

impl Port {
    /// The port in the instance.
    #[must_use]
    pub fn connect(&self) -> u16 {
        self.connect.unwrap_or(self.listen)
    }
}

/// How one finds out, in the instance, whether it is well. Its units have to run in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Health {
    /// `PORT/PATH`: answered with 2xx on loopback.
    pub http: Option<String>,
    /// A port that accepts connections on loopback.
    pub tcp: Option<u16>,
    /// A command that ends with 0.
    pub command: Vec<String>,
    /// How many seconds it may take to get well. Default 60.
    pub within: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            http: None,
            tcp: None,
            command: Vec::new(),
            within: 60,
        }
    }
}

impl Health {
    /// How long it may take to get well.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.within)
    }
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not the TOML of a manifest; the reason has line and column.
    #[error("the manifest {name} cannot be read")]
    Syntax {
        /// Which.
        name: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// What it says cannot be meant.
    #[error("the manifest {name} cannot be meant: {mistake}")]
    Mistake {
        /// Which.
        name: String,
        /// What.
        mistake: Mistake,
    },
    /// Its file, or one that it names, cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is none of this name.
    #[error("there is no stack {name}; there are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

impl Manifest {
    /// Reads a manifest whose files name nothing beside it.
    ///
    /// # Errors
    /// It is not one, or says what cannot be meant.
    pub fn parse(name: &str, text: &str) -> Result<Self, ManifestError> {
        let mut manifest: Self = toml::from_str(text).map_err(|source| ManifestError::Syntax {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        name.clone_into(&mut manifest.name);
        match check::check(&manifest) {
            None => Ok(manifest),
            Some(mistake) => Err(ManifestError::Mistake {
                name: name.to_owned(),
                mistake,
            }),
        }
    }

    /// The kinds in an order in which each comes after those that it needs.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Kind> {
        check::sorted(&self.instances).unwrap_or_else(|_| self.instances.iter().collect())
    }

    /// The kind of this name.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.instances.iter().find(|kind| kind.name == name)
    }
}

/// Where a manifest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whence {
    /// It is part of BCM.
    BuiltIn,
    /// It is a file of the user's.
    Folder,
}

fn three() -> usize {
    3
}

fn readable() -> u32 {
    0o644
}

fn yes() -> bool {
    true
}
