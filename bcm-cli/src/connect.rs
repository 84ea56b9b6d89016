//! From hosts as they were typed to machines that are connected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bcm_lxd::host::Machine;
use bcm_provision::vm::VmError;
use bcm_ssh::onion::tor::TorError;
use bcm_ssh::{
    ConnectError, Destination, DestinationError, HostKeyPolicy, Local, PinnedKey, Remote, Ssh,
    SshOptions,
};
use futures_util::future::join_all;

use crate::args::cluster::{HostKeys, ReachArgs};
use crate::commands::Context;
use crate::onions::{self, OnionError, Onions};
use crate::settings::cluster::LOCAL;
use crate::vms;

/// A machine cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// What was typed names no machine.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The name means this machine.
    #[error(
        "{host} resolves to {address}, which is this machine itself: other members could not reach it there; use --driver local, or its real address"
    )]
    Loopback {
        host: String,
        address: std::net::IpAddr,
    },
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The Tor that leads there is not ready.
    #[error("cannot reach {host} through Tor")]
    Tor { host: String, source: TorError },
    /// What leads there cannot be set up.
    #[error(transparent)]
    Onion(#[from] OnionError),
    /// The virtual machine does not run.
    #[error("the virtual machine {host} does not run; `bcm cluster start` starts it")]
    Stopped { host: String },
    /// What leads to virtual machines cannot be set up.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// There is no connection yet.
    #[error("cannot reach {host}: no connection within {} s", limit.as_secs())]
    Late { host: String, limit: Duration },
}

/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long one through Tor may take once Tor is ready: a service is looked for on several ways.
const ONION_LIMIT: Duration = Duration::from_secs(150);

/// How long one to a virtual machine may take, which may be emulated and has just booted.
const VM_LIMIT: Duration = Duration::from_secs(120);

/// How hosts are reached in one call.
pub(crate) struct Reach {
    options: SshOptions,
    config: Option<PathBuf>,
    limit: Option<Duration>,
}

/// How one host is reached.
struct Way {
    options: SshOptions,
    limit: Duration,
    onion: bool,
}

impl Reach {
    /// From the arguments; `remembered` is the `ssh_config` that the cluster was made with.
    pub(crate) fn new(context: &Context, args: &ReachArgs, remembered: Option<&PathBuf>) -> Self {
        let environment = context.settings.environment();
        let policy = match (&args.host_key, args.host_keys) {
            (Some(key), _) if key.starts_with("SHA256:") => {
                HostKeyPolicy::Pinned(PinnedKey::Fingerprint(key.clone()))
            }
            (Some(key), _) => HostKeyPolicy::Pinned(PinnedKey::Public(key.clone())),
            (None, HostKeys::Strict) => HostKeyPolicy::Strict,
            (None, HostKeys::AcceptNew) => HostKeyPolicy::AcceptNew,
        };
        let config = args
            .ssh_config
            .as_ref()
            .or(remembered)
            .map(|path| environment.folder.join(path));
        let mut options = SshOptions::new(policy, environment.runtime_folder());
        if let Some(path) = &config {
            options = options.ssh_config(path);
        }
        Self {
            options,
            config,
            limit: None,
        }
    }

    /// The same, with every machine given up after `limit`.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The `ssh_config` in use, where it is not the user's own.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// Connects to all `hosts` at once.
    pub(crate) async fn all(
        &self,
        context: &Context,
        hosts: &[String],
    ) -> Vec<(String, Result<Machine, ReachError>)> {
        join_all(hosts.iter().map(|host| async move {
            let machine = self.one(context, host).await;
            (host.clone(), machine)
        }))
        .await
    }

    /// Connects to `host`.
    pub(crate) async fn one(&self, context: &Context, host: &str) -> Result<Machine, ReachError> {
        let way = self.way(context, host).await?;
        let connected = tokio::time::timeout(way.limit, connect(host, &way)).await;
        let (remote, new_key) = connected.unwrap_or_else(|_| {
            Err(ReachError::Late {
                host: host.to_owned(),
                limit: way.limit,
            })
        })?;
        if let Some(fingerprint) = new_key {
            context.reporter.say(&format!(
                "{host}: new host key {fingerprint}, noted in known_hosts"
            ));
        }
        Ok(Machine::new(host, remote))
    }
}

impl Reach {
    /// How `host` is reached. Waits for Tor where that leads there.
    async fn way(&self, context: &Context, host: &str) -> Result<Way, ReachError> {
        let direct = Way {
            options: self.options.clone(),
            limit: self.limit.unwrap_or(LIMIT),
            onion: false,
        };
        let Ok(destination) = host.parse::<Destination>() else {
            return Ok(direct);
        };
        let environment = context.settings.environment();
        if let Some(fleet) = vms::fleet_of(environment, destination.host()) {
            let stopped = vms::stopped(environment, &fleet).await;
            if stopped.iter().any(|host| host == destination.host()) {
                let host = host.to_owned();
                return Err(ReachError::Stopped { host });
            }
            let config = vms::config_file(environment, self.config.as_deref())?;
            return Ok(self.by(config, VM_LIMIT, false));
        }
        let onions = match Onions::load(&environment.state_folder()) {
            Ok(onions) => onions,
            Err(error) => {
                // Others are reached without it.
                context.reporter.warn(&error.to_string());
                return Ok(direct);
            }
        };
        let Some((_, onion)) = onions.find(destination.host()) else {
            return Ok(Way {
                onion: destination.is_onion(),
                ..direct
            });
        };
        // Those who wait at the same time share one Tor.
        let say = |text: &str| context.reporter.say(&format!("{host}: Tor: {text}"));
        onions::ready(environment, &onions, onion, say)
            .await
            .map_err(|source| ReachError::Tor {
                host: host.to_owned(),
                source,
            })?;
        let config = onions::config_file(environment, &onions, self.config.as_deref())?;
        Ok(self.by(config, ONION_LIMIT, true))
    }

    /// By a configuration of BCM's own, which takes `usual` at most unless another limit was given.
    fn by(&self, config: PathBuf, usual: Duration, onion: bool) -> Way {
        let limit = self.limit.unwrap_or(usual);
        let options = self.options.clone().ssh_config(config);
        Way {
            options: options.connect_deadline(limit),
            limit: limit + Duration::from_secs(5),
            onion,
        }
    }
}

type Reached = (Arc<dyn Remote>, Option<String>);

async fn connect(host: &str, way: &Way) -> Result<Reached, ReachError> {
    if host == LOCAL {
        return Ok((Arc::new(Local::new()), None));
    }
    let destination: Destination = host.parse()?;
    // An alias of ssh_config does not resolve, which is no mistake. An onion service's address is not
    // to be told to a name server.
    if !way.onion
        && let Ok(mut addresses) = tokio::net::lookup_host((destination.host(), 22)).await
        && let Some(address) = addresses.find(|a| a.ip().is_loopback())
    {
        return Err(ReachError::Loopback {
            host: host.to_owned(),
            address: address.ip(),
        });
    }
    let ssh = Ssh::connect(&destination, &way.options).await?;
    let new_key = ssh
        .host_key()
        .filter(|key| key.added)
        .map(ToString::to_string);
    Ok((Arc::new(ssh), new_key))
}
