//! The cluster that a stack is on.

use bcm_lxd::Client;
use bcm_lxd::cluster::PROJECT;
use bcm_lxd::host::Machine;
use bcm_stack::deploy::{Seen, observe};

use crate::args::cluster::ReachArgs;
use crate::commands::Context;
use crate::commands::cluster::Chosen;
use crate::diagnostics::Failure;

/// A cluster that is connected.
pub(super) struct OnCluster {
    /// Its name.
    pub(super) name: String,
    /// Its machines, those that answer.
    pub(super) machines: Vec<Machine>,
    /// A client in BCM's project.
    pub(super) client: Client,
    /// The pool of the project's disks and volumes.
    pub(super) pool: String,
}

impl OnCluster {
    /// Connects to the cluster that was meant.
    ///
    /// # Errors
    /// None was, or it does not answer.
    pub(super) async fn reach(context: &Context, args: &ReachArgs) -> Result<Self, Failure> {
        let chosen = Chosen::new(context, args)?;
        let mut machines = Vec::new();
        for (_, machine) in chosen.machines(context).await {
            match machine {
                Ok(machine) => machines.push(machine),
                Err(error) => context.reporter.warn(&error.to_string()),
            }
        }
        let client = chosen.client_of(context, &machines).await?;
        let client = client.in_project(PROJECT);
        let profiles = client.profiles().await.map_err(Failure::new)?;
        let disk = profiles
            .iter()
            .filter(|profile| profile.name == "default")
            .find_map(|profile| profile.devices.get("root")?.get("pool").cloned());
        let pool = disk.ok_or_else(|| {
            Failure::usage(format!(
                "the project {PROJECT} has no storage pool in its default profile"
            ))
            .with_hint("`bcm cluster create` again mends it")
        })?;
        Ok(Self {
            name: chosen.name,
            machines,
            client,
            pool,
        })
    }

    /// What there is of a stack.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) async fn look(&self, stack: &str) -> Result<Seen, Failure> {
        let seen = observe(&self.client, stack, &self.pool).await;
        seen.map_err(Failure::new)
    }
}
