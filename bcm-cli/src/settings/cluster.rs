//! The cluster that is wanted: flags over `[cluster]` of `bcm.toml` over defaults.

use bcm_lxd::cluster::{ClusterSpec, DriverChoice, EngineChoice, MemberSpec, StorageDriver};

use super::Settings;
use crate::args::cluster::{Driver, Engine, SpecArgs, Storage};

/// The host that stands for this machine.
pub(crate) const LOCAL: &str = "local";

/// A cluster is asked for that cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterSettingsError {
    /// Nobody said which machines.
    #[error(
        "which machines? give --driver local for this one, or --host user@machine for each of others"
    )]
    NoMachines,
    /// Hosts do not go with machines that are made.
    #[error(
        "--driver vm makes its machines itself; leave --host and [[cluster.member]] away, or use --driver ssh"
    )]
    VmWithHosts,
    /// What is said of virtual machines goes with nothing else.
    #[error("{0} is for virtual machines: give --driver vm")]
    NotVm(&'static str),
    /// What is said of virtual machines cannot be meant.
    #[error("{name}: {why}")]
    Vm { name: &'static str, why: String },
    /// Hosts do not go with this machine.
    #[error("--driver local is this machine alone; leave --host away, or use --driver ssh")]
    LocalWithHosts,
}

/// The specification, with everything that was not said left at its default.
pub(crate) fn resolve(
    settings: &Settings,
    args: &SpecArgs,
) -> Result<ClusterSpec, ClusterSettingsError> {
    let file = settings.file().and_then(|file| file.cluster.clone());
    let mut spec = file.unwrap_or_else(|| ClusterSpec::new("bcm"));
    if let Some(driver) = args.driver {
        spec.driver = Some(match driver {
            Driver::Local => DriverChoice::Local,
            Driver::Ssh => DriverChoice::Ssh,
            Driver::Vm => DriverChoice::Vm,
        });
    }
    if !args.host.is_empty() {
        let known = std::mem::take(&mut spec.members);
        spec.members = args
            .host
            .iter()
            .map(|host| {
                // What the file says of the same machine still holds.
                let same = known.iter().find(|member| &member.host == host);
                same.cloned().unwrap_or_else(|| MemberSpec::new(host))
            })
            .collect();
    }
    match spec.driver {
        Some(DriverChoice::Vm) if !spec.members.is_empty() => {
            return Err(ClusterSettingsError::VmWithHosts);
        }
        // Its members are there when the machines are.
        Some(DriverChoice::Vm) => {}
        Some(DriverChoice::Local) => {
            if spec.members.iter().any(|member| member.host != LOCAL) {
                return Err(ClusterSettingsError::LocalWithHosts);
            }
            if spec.members.is_empty() {
                spec.members.push(MemberSpec::new(LOCAL));
            }
        }
        Some(DriverChoice::Ssh) | None if spec.members.is_empty() => {
            return Err(ClusterSettingsError::NoMachines);
        }
        Some(DriverChoice::Ssh) | None => {}
    }
    if spec.driver != Some(DriverChoice::Vm)
        && let Some(flag) = args.vm.first()
    {
        return Err(ClusterSettingsError::NotVm(flag));
    }
    if let Some(name) = &args.name {
        spec.name.clone_from(name);
    }
    if let Some(engine) = args.engine {
        spec.engine = engine.into();
    }
    if let Some(storage) = args.storage {
        spec.storage.driver = storage.into();
    }
    if args.storage_size.is_some() {
        spec.storage.size.clone_from(&args.storage_size);
    }
    if args.storage_source.is_some() {
        spec.storage.source.clone_from(&args.storage_source);
    }
    if let Some(bridge) = &args.bridge {
        spec.network.bridge.clone_from(bridge);
    }
    if args.uplink.is_some() {
        spec.network.uplink.clone_from(&args.uplink);
    }
    Ok(spec)
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Lxd => Self::Lxd,
            Engine::Incus => Self::Incus,
            Engine::Auto => Self::Auto,
        }
    }
}

impl From<Storage> for StorageDriver {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::Dir => Self::Dir,
            Storage::Btrfs => Self::Btrfs,
            Storage::Zfs => Self::Zfs,
            Storage::Lvm => Self::Lvm,
        }
    }
}
