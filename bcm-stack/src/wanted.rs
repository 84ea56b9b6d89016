//! What every replica is to be, in the engine's words. Pure.

use bcm_core::digest::Sha256;
use bcm_lxd::types::{Config, Devices};
use bytes::Bytes;

use crate::manifest::{Health, Kind, Manifest, Port, Volume};
use crate::mirror::{MakeError, MirrorFiles};
use crate::place::{Placement, Replica};

/// Keys of an instance's configuration that say whose it is.
pub const STACK_KEY: &str = "user.bcm.stack";
/// Its kind.
pub const KIND_KEY: &str = "user.bcm.kind";
/// Its number.
pub const NUMBER_KEY: &str = "user.bcm.replica";
/// What its Hub is, as [`HubMode::as_str`](crate::mirror::HubMode::as_str) has it.
pub const MODE_KEY: &str = "user.bcm.mode";
/// The domain of its names, and where their certificates come from.
pub const NAMES_KEY: &str = "user.bcm.names";
/// What was brought into it, as [`Applied`](crate::plan::Applied) in JSON.
pub const APPLIED_KEY: &str = "user.bcm.applied";

/// A replica as it is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which, and where.
    pub replica: Replica,
    /// The engine's keys, but for what was brought into it.
    pub config: Config,
    /// The engine's devices, beside those of the profile.
    pub devices: Devices,
    /// Its volumes.
    pub volumes: Vec<WantedVolume>,
    /// Debian's packages in it.
    pub packages: Vec<String>,
    /// Its files, those of units among them.
    pub files: Vec<WantedFile>,
    /// Its units.
    pub units: Vec<WantedUnit>,
    /// How one finds out whether it is well.
    pub health: Health,
}

/// A volume of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVolume {
    /// Its name in the pool.
    pub name: String,
    /// Where it is in the instance.
    pub path: String,
    /// Whose it is there. Default root.
    pub owner: Option<String>,
    /// How large it may get.
    pub size: Option<String>,
}

/// A file of a replica.
#[derive(Clone)]
pub struct WantedFile {
    /// Where it is.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Whose it is. Default root.
    pub owner: Option<String>,
    /// What is in it.
    pub content: Bytes,
    /// SHA-256 of all of that, hex.
    pub digest: String,
    /// Arguments to try it with.
    pub try_with: Vec<String>,
    /// Units that read it again without a restart; none means that all are restarted.
    pub reloads: Vec<String>,
}

impl std::fmt::Debug for WantedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There may be a key in it.
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

/// A unit of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedUnit {
    /// Its name.
    pub name: String,
    /// Whether it is started.
    pub enable: bool,
}

/// Says what every replica of `placement` is to be. Its volumes are in `pool`; `public` is where public
/// ports listen on members, such as `[::]`.
///
/// # Errors
/// A file cannot be made.
pub fn wanted(
    manifest: &Manifest,
    placement: &Placement,
    files: Option<&MirrorFiles>,
    pool: &str,
    public: &str,
) -> Result<Vec<Wanted>, MakeError> {
    let mut all = Vec::new();
    for replica in &placement.replicas {
        let Some(kind) = manifest.kind(&replica.kind) else {
            continue;
        };
        let volumes = volumes(kind, replica);
        all.push(Wanted {
            config: config(manifest, kind, replica, files),
            devices: devices(kind, replica, &volumes, pool, public),
            packages: kind.packages.clone(),
            files: contents(kind, replica, placement, files)?,
            units: units(kind),
            health: kind.health.clone(),
            volumes,
            replica: replica.clone(),
        });
    }
    Ok(all)
}

/// As much of a replica that is there as asking for its health needs: its volumes, units and health.
#[must_use]
pub fn observed(kind: &Kind, replica: Replica) -> Wanted {
    Wanted {
        config: Config::new(),
        devices: Devices::new(),
        volumes: volumes(kind, &replica),
        packages: Vec::new(),
        files: Vec::new(),
        units: units(kind),
        health: kind.health.clone(),
        replica,
    }
}

fn units(kind: &Kind) -> Vec<WantedUnit> {
    let unit = |unit: &crate::manifest::Unit| WantedUnit {
        name: unit.name.clone(),
        enable: unit.enable,
    };
    kind.units.iter().map(unit).collect()
}

fn config(
    manifest: &Manifest,
    kind: &Kind,
    replica: &Replica,
    files: Option<&MirrorFiles>,
) -> Config {
    let mut config: Config = [
        (STACK_KEY, manifest.name.clone()),
        (KIND_KEY, kind.name.clone()),
        (NUMBER_KEY, replica.number.to_string()),
        // It comes back with its member.
        ("boot.autostart", "true".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if let Some(files) = files {
        config.insert(MODE_KEY.to_owned(), files.mode.as_str().to_owned());
        config.insert(NAMES_KEY.to_owned(), files.names());
    }
    if kind.nesting {
        config.insert("security.nesting".to_owned(), "true".to_owned());
    }
    if let Some(cpu) = kind.limits.cpu {
        config.insert("limits.cpu".to_owned(), cpu.to_string());
    }
    if let Some(memory) = &kind.limits.memory {
        config.insert("limits.memory".to_owned(), memory.clone());
    }
    config
}

/// The name that `volume` of `replica` has in the pool.
pub(crate) fn volume_name(replica: &Replica, volume: &Volume) -> String {
    format!("{}-{}", replica.instance, volume.name)
}

fn volumes(kind: &Kind, replica: &Replica) -> Vec<WantedVolume> {
    let volume = |volume: &Volume| WantedVolume {
        name: volume_name(replica, volume),
        path: volume.path.clone(),
        owner: volume.owner.clone(),
        size: volume.size.clone(),
    };
    kind.volumes.iter().map(volume).collect()
}

fn devices(
    kind: &Kind,
    replica: &Replica,
    volumes: &[WantedVolume],
    pool: &str,
    public: &str,
) -> Devices {
    let device = |pairs: &[(&str, &str)]| -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let disks = volumes.iter().zip(&kind.volumes).map(|(volume, named)| {
        let disk = device(&[
            ("type", "disk"),
            ("pool", pool),
            ("source", &volume.name),
            ("path", &volume.path),
        ]);
        (format!("volume-{}", named.name), disk)
    });
    let ports = kind.ports.iter().map(|port: &Port| {
        let listen = match port.public {
            true => format!("tcp:{public}:{}", port.listen),
            false => {
                let at = std::net::SocketAddr::new(replica.address, port.listen);
                format!("tcp:{at}")
            }
        };
        let connect = format!("tcp:127.0.0.1:{}", port.connect());
        let proxy = device(&[
            ("type", "proxy"),
            ("listen", &listen),
            ("connect", &connect),
        ]);
        (format!("port-{}", port.listen), proxy)
    });
    disks.chain(ports).collect()
}

fn contents(
    kind: &Kind,
    replica: &Replica,
    placement: &Placement,
    files: Option<&MirrorFiles>,
) -> Result<Vec<WantedFile>, MakeError> {
    let bytes = |content: Option<&String>, made: Option<&String>| match (content, made, files) {
        (Some(text), _, _) => Ok(filled(text, replica).into()),
        (None, Some(made), Some(files)) => files.make(made, replica, placement),
        (None, made, _) => Err(MakeError::NotGiven(made.cloned().unwrap_or_default())),
    };
    let mut all = Vec::new();
    for file in &kind.files {
        let content = bytes(file.content.as_ref(), file.made.as_ref())?;
        all.push(WantedFile {
            digest: digest(&content, file.mode, file.owner.as_deref()),
            path: file.path.clone(),
            mode: file.mode,
            owner: file.owner.clone(),
            content,
            try_with: file.try_with.clone(),
            reloads: file.reloads.clone(),
        });
    }
    for unit in &kind.units {
        if unit.content.is_none() && unit.made.is_none() {
            continue;
        }
        let content = bytes(unit.content.as_ref(), unit.made.as_ref())?;
        all.push(WantedFile {
            digest: digest(&content, 0o644, None),
            path: format!("/etc/systemd/system/{}", unit.name),
            mode: 0o644,
            owner: None,
            content,
            try_with: Vec::new(),
            reloads: Vec::new(),
        });
    }
    Ok(all)
}

/// Of everything that makes a file another one.
fn digest(content: &[u8], mode: u32, owner: Option<&str>) -> String {
    let owner = owner.unwrap_or("root");
    let of = |bytes: &[u8]| Sha256::of(bytes).to_string();
    of(format!("{mode:o} {owner} {}", of(content)).as_bytes())
}

fn filled(text: &str, replica: &Replica) -> String {
    text.replace("@INSTANCE@", &replica.instance)
        .replace("@REPLICA@", &replica.number.to_string())
        .replace("@MEMBER@", &replica.member)
        .replace("@ADDRESS@", &replica.address.to_string())
}
