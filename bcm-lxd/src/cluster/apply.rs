//! Does what a plan says.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bcm_core::progress::{Level, SharedProgress, watched};
use futures_util::future::join_all;

use crate::client::Client;
use crate::error::LxdError;
use crate::flavour::Flavour;
use crate::host::{Machine, MachineError, note_made};
use crate::operation::WaitError;
use crate::types::{
    ClusterMemberPut, ClusterPut, Config, Devices, EntityPost, NetworksPost, Profile, Project,
    StoragePoolsPost,
};

use super::join::{JoinError, Joiner, join, with_port};
use super::observe::NAME_KEY;
use super::step::{Plan, PlannedMember, Step};

/// How a plan is applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// How long one call to an engine's operation may take. Default 3 min.
    pub operation: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            operation: Duration::from_secs(180),
        }
    }
}

/// A step failed. What was done before it stays; running the same command again goes on from
/// there.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
#[non_exhaustive]
pub struct ApplyError {
    /// The step, in words.
    pub step: String,
    /// How many steps of the plan are done.
    pub done: usize,
    /// Why it failed.
    pub source: StepError,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A machine could not be worked on.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// An engine refused.
    #[error(transparent)]
    Engine(#[from] LxdError),
    /// An engine's operation did not end well.
    #[error(transparent)]
    Operation(#[from] WaitError),
    /// A machine could not join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The plan names a machine that is not connected.
    #[error("there is no connection to {0}")]
    NotConnected(String),
    /// The work was interrupted before this step.
    #[error("interrupted")]
    Interrupted,
}

/// What was done, with the time that each step took.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Applied {
    /// The steps in words, and seconds.
    pub steps: Vec<(String, f64)>,
}

/// Applies `plan` with the connections `machines`. `interrupted` is asked before every step.
///
/// # Errors
/// The first step that failed.
pub async fn apply(
    plan: &Plan,
    machines: &[Machine],
    options: &ApplyOptions,
    progress: &SharedProgress,
    interrupted: impl Fn() -> bool,
) -> Result<Applied, ApplyError> {
    let run = Run {
        plan,
        machines: machines.iter().map(|m| (m.host(), m)).collect(),
        options,
    };
    let mut applied = Applied::default();
    let mut rest = plan.steps.as_slice();
    while let Some(first) = rest.first() {
        let together = if first.is_parallel() {
            rest.iter().take_while(|step| step.is_parallel()).count()
        } else {
            1
        };
        let (now, later) = rest.split_at(together);
        rest = later;
        if interrupted() {
            return Err(failed(first, &applied, StepError::Interrupted));
        }
        let results = join_all(now.iter().map(|step| timed(progress, step, run.step(step)))).await;
        let mut failure = None;
        for (step, result) in now.iter().zip(results) {
            match (result, &failure) {
                (Ok(seconds), _) => applied.steps.push((step.to_string(), seconds)),
                (Err(source), None) => failure = Some((step, source)),
                (Err(also), Some(_)) => progress.note(Level::Warning, &format!("{step}: {also}")),
            }
        }
        if let Some((step, source)) = failure {
            return Err(failed(step, &applied, source));
        }
    }
    Ok(applied)
}

fn failed(step: &Step, applied: &Applied, source: StepError) -> ApplyError {
    ApplyError {
        step: step.to_string(),
        done: applied.steps.len(),
        source,
    }
}

fn ours(name: &str, config: Config) -> EntityPost {
    EntityPost {
        name: name.to_owned(),
        description: "made by BCM".to_owned(),
        config,
    }
}

fn not_connected(host: &str) -> StepError {
    StepError::NotConnected(host.to_owned())
}

async fn timed(
    progress: &SharedProgress,
    step: &Step,
    work: impl Future<Output = Result<(), StepError>>,
) -> Result<f64, StepError> {
    let started = std::time::Instant::now();
    watched(progress, &step.to_string(), work).await?;
    Ok(started.elapsed().as_secs_f64())
}

struct Run<'a> {
    plan: &'a Plan,
    machines: BTreeMap<&'a str, &'a Machine>,
    options: &'a ApplyOptions,
}

impl Run<'_> {
    async fn step(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Install { host, from } => {
                let machine = self.machine(host).ok_or_else(|| not_connected(host))?;
                Ok(machine.install(self.flavour(), from).await?)
            }
            Step::Bootstrap {
                host,
                member,
                address,
                cluster,
            } => {
                self.bootstrap(host, member, &with_port(*address), cluster)
                    .await
            }
            Step::Join {
                host,
                member,
                address,
                pools,
                networks,
            } => {
                let (client, first) = self.cluster().await?;
                let joiner = self.engine(host).await?;
                let wanted = Joiner {
                    name: member,
                    address: *address,
                    pools,
                    networks,
                };
                Ok(join(&client, first.address, &joiner, &wanted).await?)
            }
            Step::Member {
                member,
                failure_domain,
                roles,
            } => self.member(member, failure_domain, roles).await,
            Step::Pool {
                name,
                driver,
                members,
            } => self.pool(name, driver, members).await,
            Step::Network {
                name,
                kind,
                config,
                members,
            } => self.network(name, kind, config, members).await,
            Step::Project { name, cluster } => self.project(name, cluster).await,
            Step::Profile { project, devices } => self.profile(project, devices).await,
        }
    }

    fn flavour(&self) -> Flavour {
        self.plan.flavour
    }

    fn machine(&self, host: &str) -> Option<&Machine> {
        self.machines.get(host).copied()
    }

    async fn engine(&self, host: &str) -> Result<Client, StepError> {
        let machine = self.machine(host).ok_or_else(|| not_connected(host))?;
        Ok(machine.wait_for_engine(self.flavour()).await?)
    }

    /// A client of the first member that is in the cluster by now, and that member.
    async fn cluster(&self) -> Result<(Client, &PlannedMember), StepError> {
        let member = self
            .plan
            .members
            .iter()
            .find(|m| m.joined)
            .or_else(|| self.plan.members.first())
            .ok_or_else(|| not_connected("any member"))?;
        Ok((self.engine(&member.host).await?, member))
    }

    async fn bootstrap(
        &self,
        host: &str,
        member: &str,
        address: &str,
        cluster: &str,
    ) -> Result<(), StepError> {
        let client = self.engine(host).await?;
        // The name goes in first: whatever stops this afterwards, the next run knows its own.
        let config: Config = [
            ("core.https_address".to_owned(), address.to_owned()),
            (NAME_KEY.to_owned(), cluster.to_owned()),
        ]
        .into();
        client.set_server_config(config, None).await?;
        let put = ClusterPut {
            server_name: member.to_owned(),
            enabled: true,
            ..ClusterPut::default()
        };
        client
            .put_cluster(&put)
            .await?
            .wait(self.options.operation)
            .await?;
        Ok(())
    }

    async fn member(
        &self,
        name: &str,
        failure_domain: &str,
        roles: &[String],
    ) -> Result<(), StepError> {
        let (client, _) = self.cluster().await?;
        let now = client.cluster_member(name).await?;
        let mut all_roles = now.roles;
        all_roles.extend(
            roles
                .iter()
                .filter(|r| !all_roles.contains(r))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let put = ClusterMemberPut {
            roles: all_roles,
            failure_domain: failure_domain.to_owned(),
            description: now.description,
            config: now.config,
            groups: now.groups,
        };
        Ok(client.update_cluster_member(name, &put).await?)
    }

    async fn pool(
        &self,
        name: &str,
        driver: &str,
        members: &BTreeMap<String, Config>,
    ) -> Result<(), StepError> {
        let (client, _) = self.cluster().await?;
        if client
            .storage_pools()
            .await?
            .iter()
            .any(|p| p.entity.name == name)
        {
            // Half-made by a run that was interrupted: made again from the start.
            client.delete_storage_pool(name).await?;
        }
        let pool = |config: Config| StoragePoolsPost {
            entity: ours(name, config),
            driver: driver.to_owned(),
        };
        if matches!(driver, "zfs" | "lvm") {
            self.note_everywhere(&format!("{driver} {name}")).await?;
        }
        for (member, config) in members {
            client
                .create_storage_pool(&pool(config.clone()), Some(member))
                .await?;
        }
        let whole = client.create_storage_pool(&pool(Config::new()), None).await;
        if whole.is_err() {
            // The engines keep a pool that could not be made on every member as "errored".
            let _ = client.delete_storage_pool(name).await;
        }
        Ok(whole?)
    }

    async fn network(
        &self,
        name: &str,
        kind: &str,
        config: &Config,
        members: &BTreeMap<String, Config>,
    ) -> Result<(), StepError> {
        let (client, _) = self.cluster().await?;
        if client
            .networks()
            .await?
            .iter()
            .any(|n| n.managed && n.entity.name == name)
        {
            client.delete_network(name).await?;
        }
        let network = |config: Config| NetworksPost {
            entity: ours(name, config),
            kind: kind.to_owned(),
        };
        if kind == "bridge" {
            self.note_everywhere(&format!("bridge {name}")).await?;
        }
        for (member, own) in members {
            client
                .create_network(&network(own.clone()), Some(member))
                .await?;
        }
        let whole = client.create_network(&network(config.clone()), None).await;
        if whole.is_err() {
            let _ = client.delete_network(name).await;
        }
        Ok(whole?)
    }

    /// Notes on every member what is about to be made there.
    async fn note_everywhere(&self, what: &str) -> Result<(), StepError> {
        for member in &self.plan.members {
            let machine = self
                .machine(&member.host)
                .ok_or_else(|| not_connected(&member.host))?;
            note_made(machine.remote().as_ref(), what)
                .await
                .map_err(MachineError::from)?;
        }
        Ok(())
    }

    async fn project(&self, name: &str, cluster: &str) -> Result<(), StepError> {
        let (client, _) = self.cluster().await?;
        let project = Project {
            name: name.to_owned(),
            description: "applications that BCM runs".to_owned(),
            // Images, profiles and volumes of its own; the networks are shared with the rest.
            config: [
                ("features.images", "true"),
                ("features.profiles", "true"),
                ("features.storage.volumes", "true"),
                (NAME_KEY, cluster),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            used_by: Vec::new(),
        };
        match client.create_project(&project).await {
            Err(error) if error.is_conflict() => Ok(()),
            result => Ok(result?),
        }
    }

    async fn profile(&self, project: &str, devices: &Devices) -> Result<(), StepError> {
        let (client, _) = self.cluster().await?;
        let profile = Profile {
            name: "default".to_owned(),
            description: "made by BCM".to_owned(),
            devices: devices.clone(),
            ..Profile::default()
        };
        Ok(client.in_project(project).put_profile(&profile).await?)
    }
}
