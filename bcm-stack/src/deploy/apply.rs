//! Does what a plan says.

use std::time::{Duration, Instant};

use bcm_core::progress::{SharedProgress, watched};
use bcm_core::wait::Timeout;
use bcm_lxd::Client;
use bcm_lxd::types::{
    Config, InstanceAction, InstanceSource, InstanceStatePut, InstancesPost, VolumesPost,
};
use serde::Serialize;

use super::DeployError;
use super::command::{attempt, tail};
use super::deliver::deliver;
use super::error::LastWords;
use super::health::State;
use crate::plan::{Applied, Found, Plan, Step};
use crate::wanted::{APPLIED_KEY, STACK_KEY, Wanted};

/// Lines of a console that an error repeats.
const CONSOLE: usize = 20;

/// How a plan is applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// The image's fingerprint.
    pub image: String,
    /// The pool of the volumes.
    pub pool: String,
    /// How long one operation of the engine may take. Default 5 min: an image may have to come from
    /// another member first.
    pub operation: Duration,
    /// How long an instance may take to boot. Default 2 min.
    pub boot: Duration,
    /// How long after a replica that was changed the next one has its turn, so that whoever spreads
    /// load has seen it come back. Default 10 s.
    pub settle: Duration,
}

impl ApplyOptions {
    /// The defaults, for the image `image` and the pool `pool`.
    #[must_use]
    pub fn new(image: &str, pool: &str) -> Self {
        Self {
            image: image.to_owned(),
            pool: pool.to_owned(),
            operation: Duration::from_secs(300),
            boot: Duration::from_secs(120),
            settle: Duration::from_secs(10),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Done {
    /// The steps in words, and the seconds that each took.
    pub steps: Vec<(String, f64)>,
    /// Replicas that run and do not serve yet, with the reason.
    pub not_yet: Vec<(String, String)>,
}

/// Applies `plan` with a client in the stack's project. `interrupted` is asked before every step.
///
/// # Errors
/// The first step that failed.
pub async fn apply(
    client: &Client,
    plan: &Plan,
    wanted: &[Wanted],
    found: &Found,
    options: &ApplyOptions,
    progress: &SharedProgress,
    interrupted: impl Fn() -> bool,
) -> Result<Done, DeployError> {
    let run = Run {
        client,
        wanted,
        found,
        options,
    };
    let mut done = Done::default();
    for (index, step) in plan.steps.iter().enumerate() {
        if interrupted() {
            return Err(DeployError::Interrupted.at(step));
        }
        let began = Instant::now();
        let work = run.step(step, &mut done);
        let changed_what_served = watched(progress, &step.to_string(), work)
            .await
            .map_err(|error| error.at(step))?;
        done.steps
            .push((step.to_string(), began.elapsed().as_secs_f64()));
        if changed_what_served && run.has_a_sibling_next(step, &plan.steps[index + 1..]) {
            tokio::time::sleep(options.settle).await;
        }
    }
    Ok(done)
}

struct Run<'a> {
    client: &'a Client,
    wanted: &'a [Wanted],
    found: &'a Found,
    options: &'a ApplyOptions,
}

impl Run<'_> {
    fn wanted(&self, instance: &str) -> Option<&Wanted> {
        self.wanted.iter().find(|w| w.replica.instance == instance)
    }

    /// Whether one of `rest` is about another replica of the same kind.
    fn has_a_sibling_next(&self, step: &Step, rest: &[Step]) -> bool {
        let kind = |step: &Step| Some(&self.wanted(step.subject())?.replica.kind);
        rest.iter().any(|other| kind(other) == kind(step))
    }

    /// Does one step. Says whether something was changed that served before.
    async fn step(&self, step: &Step, done: &mut Done) -> Result<bool, DeployError> {
        match step {
            Step::Volume { name, member } => self.volume(name, member).await?,
            Step::Create { instance, member } => {
                if let Some(wanted) = self.wanted(instance) {
                    self.create(wanted, member).await?;
                }
            }
            Step::Adjust { instance, .. } => {
                if let Some(wanted) = self.wanted(instance) {
                    self.adjust(wanted).await?;
                }
            }
            Step::Start { instance } => self.start(instance).await?,
            Step::Deliver { instance, .. } => {
                if let Some(wanted) = self.wanted(instance) {
                    let applied = self.found.instances.get(instance).map(Applied::of);
                    let applied = applied.unwrap_or_default();
                    self.begin(wanted, &applied).await?;
                    let state = match deliver(self.client, wanted, &applied).await {
                        Err(error @ DeployError::RolledBack { .. }) => {
                            // What is noted beside it is only what would be brought once more.
                            let _ = self.note(wanted, &applied.undisturbed()).await;
                            return Err(error);
                        }
                        ended => ended?,
                    };
                    self.note(wanted, &Applied::all_of(wanted)).await?;
                    if let State::NotYet(reason) = state {
                        done.not_yet.push((instance.clone(), reason));
                    }
                    return Ok(!applied.is_new());
                }
            }
        }
        Ok(false)
    }

    async fn volume(&self, name: &str, member: &str) -> Result<(), DeployError> {
        let mut config = Config::new();
        for wanted in self.wanted {
            let Some(volume) = wanted.volumes.iter().find(|volume| volume.name == name) else {
                continue;
            };
            let size = volume.size.clone().map(|size| ("size".to_owned(), size));
            config.extend(size);
            let stack = wanted.config.get(STACK_KEY).cloned().unwrap_or_default();
            config.insert(STACK_KEY.to_owned(), stack);
        }
        let volume = VolumesPost {
            name: name.to_owned(),
            description: String::new(),
            content_type: "filesystem".to_owned(),
            config,
        };
        let pool = &self.options.pool;
        Ok(self
            .client
            .create_volume(pool, &volume, Some(member))
            .await?)
    }

    async fn create(&self, wanted: &Wanted, member: &str) -> Result<(), DeployError> {
        let post = InstancesPost {
            name: wanted.replica.instance.clone(),
            kind: "container".to_owned(),
            source: InstanceSource {
                kind: "image".to_owned(),
                fingerprint: self.options.image.clone(),
                ..InstanceSource::default()
            },
            config: wanted.config.clone(),
            devices: wanted.devices.clone(),
            ..InstancesPost::default()
        };
        let creating = self.client.create_instance(&post, Some(member)).await?;
        creating.wait(self.options.operation).await?;
        Ok(())
    }

    /// Keeps what was noted, and devices that are not BCM's.
    async fn adjust(&self, wanted: &Wanted) -> Result<(), DeployError> {
        let name = &wanted.replica.instance;
        let now = self.client.instance(name).await?;
        let mut config = now.config;
        config.extend(wanted.config.clone());
        let mut devices = now.devices;
        devices.retain(|name, _| !name.starts_with("port-") && !name.starts_with("volume-"));
        devices.extend(wanted.devices.clone());
        let updating = self.client.update_instance(name, &config, &devices).await?;
        updating.wait(self.options.operation).await?;
        Ok(())
    }

    /// Notes which files are about to be brought, so that whoever comes after one who was cut off brings them
    /// again, whatever they are by then.
    async fn begin(&self, wanted: &Wanted, applied: &Applied) -> Result<(), DeployError> {
        let instance = self.client.instance(&wanted.replica.instance).await?;
        if Applied::of(&instance) != *applied {
            return Err(DeployError::Meanwhile {
                instance: instance.name,
            });
        }
        match applied.is_new() {
            true => Ok(()),
            false => self.note(wanted, &applied.beginning(wanted)).await,
        }
    }

    /// Notes in the instance's configuration what was brought into it.
    async fn note(&self, wanted: &Wanted, applied: &Applied) -> Result<(), DeployError> {
        let name = &wanted.replica.instance;
        let mut now = self.client.instance(name).await?;
        let applied = serde_json::to_string(applied).unwrap_or_default();
        now.config.insert(APPLIED_KEY.to_owned(), applied);
        let updating = self.client.update_instance(name, &now.config, &now.devices);
        updating.await?.wait(self.options.operation).await?;
        Ok(())
    }

    async fn start(&self, instance: &str) -> Result<(), DeployError> {
        let put = InstanceStatePut {
            action: InstanceAction::Start,
            timeout: -1,
            force: false,
        };
        let starting = self.client.set_instance_state(instance, &put).await?;
        starting.wait(self.options.operation).await?;
        self.booted(instance).await
    }

    /// Waits until systemd has started what it starts, and there is an address.
    async fn booted(&self, instance: &str) -> Result<(), DeployError> {
        let began = Instant::now();
        let limit = self.options.boot;
        let argv = ["systemctl", "is-system-running"];
        loop {
            let state = match attempt(self.client, instance, &argv, Duration::from_secs(20)).await {
                Ok(ended) => tail(&ended.stdout, 1),
                // Nothing in it takes commands yet, or ever will.
                Err(error) => error.to_string(),
            };
            let mut seen = state.clone();
            if ["running", "degraded"].contains(&state.as_str()) {
                let state = self.client.instance_state(instance).await?;
                if state.global_addresses().next().is_some() {
                    return Ok(());
                }
                seen = "it has no address".to_owned();
            }
            if began.elapsed() >= limit {
                let console = self.client.console_log(instance).await;
                return Err(DeployError::Boot {
                    instance: instance.to_owned(),
                    source: LastWords {
                        timeout: Timeout {
                            what: format!("{instance} to boot"),
                            waited: began.elapsed(),
                            last_seen: seen,
                        },
                        written_to: "console",
                        text: tail(&console.unwrap_or_default(), CONSOLE),
                    },
                });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
