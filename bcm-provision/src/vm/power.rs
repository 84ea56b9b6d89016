//! Starts, stops and takes away what there is.

use std::fs;
use std::path::Path;

use bcm_core::progress::{Level, watched};
use futures_util::future::try_join_all;

use super::fleet::{Fleet, MOST, Node, NodeState, Provider, host_of, remove_folder};
use super::multipass::Multipass;
use super::qemu::{self, Qemu};
use super::{VmContext, VmError, keys};

/// Starts the machines of `cluster` that do not run, and waits until all have booted. Gives the hosts
/// that did not run.
///
/// # Errors
/// There are none, or one does not boot.
pub async fn start(context: &VmContext, cluster: &str) -> Result<Vec<String>, VmError> {
    let fleet = there(context, cluster)?;
    let _lock = fleet.lock()?;
    let states = fleet.states(context).await?;
    start_all(context, &fleet, None).await?;
    Ok(states
        .into_iter()
        .filter(|(_, state)| *state == NodeState::Stopped)
        .map(|(node, _)| node.host)
        .collect())
}

/// The fleet, which has to be there.
fn there(context: &VmContext, cluster: &str) -> Result<Fleet, VmError> {
    let fleet = Fleet::of(&context.folder, cluster)?;
    match fleet.is_there() {
        true => Ok(fleet),
        false => Err(VmError::Wanted(format!(
            "the cluster {cluster} has no virtual machines that BCM made"
        ))),
    }
}

fn multipass_of(context: &VmContext) -> Result<Multipass, VmError> {
    Multipass::find(&context.programs).ok_or_else(|| VmError::NoProvider {
        missing: "these machines are Multipass's, which is not there any more".to_owned(),
        install: "install it: snap install multipass".to_owned(),
    })
}

/// [`start`] for whoever has the lock, and may have `found` QEMU already.
pub(crate) async fn start_all(
    context: &VmContext,
    fleet: &Fleet,
    found: Option<Qemu>,
) -> Result<Vec<Node>, VmError> {
    let mut nodes = fleet.nodes()?;
    write_known_hosts(fleet, &nodes)?;
    if fleet.provider()? == Some(Provider::Multipass) {
        let multipass = multipass_of(context)?;
        for node in &mut nodes {
            let before = node.at;
            let host = node.host.clone();
            let starting = multipass.start(context, node);
            watched(&context.progress, &format!("starting {host}"), starting).await?;
            if node.at != before {
                fleet.save_node(node)?;
            }
        }
        return Ok(nodes);
    }
    let stopped = nodes
        .iter()
        .find(|node| qemu::state(node) == NodeState::Stopped);
    let image = stopped.and_then(|node| {
        let boot = node.boot?;
        let folder = fleet.node_folder(node);
        Some(qemu::of_node(&folder, boot.format, boot.kernel))
    });
    let found = match found {
        Some(found) => Some(found),
        None => Qemu::find(&context.programs).await?,
    };
    let found = found.ok_or_else(|| VmError::NoProvider {
        missing: "these machines need QEMU, which is not there any more".to_owned(),
        install: "install it: apt-get install qemu-system-x86".to_owned(),
    })?;
    let (accel, warning) = match &image {
        Some(image) => qemu::choose(context, &found.program, image).await?,
        // All of them run.
        None => (qemu::Accel::Tcg, None),
    };
    if let Some(warning) = warning {
        context.progress.note(Level::Warning, &warning);
    }
    if nodes.len() > 1 {
        qemu::start_switch(fleet, &found).await?;
    }
    for node in &mut nodes {
        qemu::start(fleet, node, &found, accel).await?;
    }
    let booting = nodes.iter().map(|node| async {
        let booted = qemu::booted(context, fleet, node);
        match qemu::greets(node.at).await {
            true => Ok(()),
            false => watched(&context.progress, &format!("booting {}", node.host), booted).await,
        }
    });
    try_join_all(booting).await?;
    Ok(nodes)
}

/// The machines' own keys, by the names that they are reached by.
fn write_known_hosts(fleet: &Fleet, nodes: &[Node]) -> Result<(), VmError> {
    let mut text = String::new();
    for node in nodes {
        let key = keys::public(&fleet.node_folder(node).join("host_key"))?;
        text.push_str(&format!("{} {key}\n", node.host));
    }
    let path = fleet.known_hosts();
    Ok(bcm_core::atomic_file::write(&path, text.as_bytes(), 0o600)?)
}

impl Fleet {
    /// Its machines, and how each is.
    ///
    /// # Errors
    /// What is kept of them cannot be read, or Multipass does not answer.
    pub async fn states(&self, context: &VmContext) -> Result<Vec<(Node, NodeState)>, VmError> {
        let nodes = self.nodes()?;
        if self.provider()? != Some(Provider::Multipass) {
            let state = |node: Node| {
                let state = qemu::state(&node);
                (node, state)
            };
            return Ok(nodes.into_iter().map(state).collect());
        }
        let multipass = multipass_of(context)?;
        let mut states = Vec::new();
        for node in nodes {
            let info = multipass.info(&node.host).await?;
            states.push((node, info.map_or(NodeState::Stopped, |info| info.state)));
        }
        Ok(states)
    }
}

/// Shuts the machines of `cluster` down; the power of one that does not within
/// [`VmContext::stop_limit`] is cut. Their disks stay. Gives the hosts that did run.
///
/// # Errors
/// There are none, or one does not end.
pub async fn stop(context: &VmContext, cluster: &str) -> Result<Vec<String>, VmError> {
    let fleet = there(context, cluster)?;
    let _lock = fleet.lock()?;
    let states = fleet.states(context).await?;
    let running = || {
        states
            .iter()
            .filter(|(_, state)| *state == NodeState::Running)
            .map(|(node, _)| node)
    };
    if fleet.provider()? == Some(Provider::Multipass) {
        let multipass = multipass_of(context)?;
        for node in running() {
            let stopping = multipass.stop(&node.host, context.stop_limit);
            watched(
                &context.progress,
                &format!("stopping {}", node.host),
                stopping,
            )
            .await?;
        }
    } else {
        let stopping = running().map(|node| {
            let fleet = &fleet;
            async move {
                let name = format!("stopping {}", node.host);
                let stopping = qemu::stop(fleet, node, context.stop_limit);
                if !watched(&context.progress, &name, stopping).await? {
                    let text = format!(
                        "{} did not shut down within {} s: its power was cut",
                        node.host,
                        context.stop_limit.as_secs()
                    );
                    context.progress.note(Level::Warning, &text);
                }
                Ok::<_, VmError>(())
            }
        });
        try_join_all(stopping).await?;
        qemu::stop_switch(&fleet).await?;
    }
    Ok(running().map(|node| node.host.clone()).collect())
}

/// Takes one machine away, with its disk.
///
/// # Errors
/// It does not end, or its folder cannot be removed.
pub async fn remove(context: &VmContext, cluster: &str, host: &str) -> Result<(), VmError> {
    let fleet = there(context, cluster)?;
    let _lock = fleet.lock()?;
    let nodes = fleet.nodes()?;
    let Some(node) = nodes.iter().find(|node| node.host == host) else {
        return Ok(());
    };
    match fleet.provider()? {
        Some(Provider::Multipass) => multipass_of(context)?.delete(host).await?,
        _ => qemu::kill(node).await?,
    }
    remove_folder(&fleet.node_folder(node))
}

/// Takes all machines of `cluster` away, with their disks and keys, also those that are not whole and
/// those of which nothing can be read any more. Gives what was there, for people.
///
/// # Errors
/// One does not end, or a folder cannot be removed.
pub async fn destroy(context: &VmContext, cluster: &str) -> Result<Vec<String>, VmError> {
    let fleet = Fleet::of(&context.folder, cluster)?;
    if !fleet.is_there() {
        return Ok(Vec::new());
    }
    let _lock = fleet.lock()?;
    let numbers = numbers(fleet.folder());
    if let Ok(Some(Provider::Multipass)) = fleet.provider() {
        let multipass = multipass_of(context)?;
        for number in &numbers {
            multipass.delete(&host_of(cluster, *number)).await?;
        }
    }
    qemu::kill_all(fleet.folder(), cluster).await?;
    remove_folder(fleet.folder())?;
    let lock = fleet.lock_path();
    bcm_core::atomic_file::remove_if_there(&lock).map_err(VmError::io("remove", &lock))?;
    let machine = |number: &u8| format!("virtual machine {}", host_of(cluster, *number));
    Ok(numbers.iter().map(machine).collect())
}

/// The numbers of the machines that have a folder, whole or not.
fn numbers(fleet: &Path) -> Vec<u8> {
    (1..=MOST)
        .filter(|number| {
            let there = |name: String| fs::symlink_metadata(fleet.join(name)).is_ok();
            there(format!("node{number}")) || there(format!(".node{number}"))
        })
        .collect()
}
