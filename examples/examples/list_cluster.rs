//! Lists a cluster's members, instances and storage pools: through the engine's socket of this
//! machine, or of another one over SSH.
//!
//! ```text
//! cargo run -p bcm-examples --example list_cluster -- /var/lib/incus/unix.socket
//! cargo run -p bcm-examples --example list_cluster -- [--ssh-config FILE] USER@HOST
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::sync::Arc;

use bcm_lxd::host::Machine;
use bcm_lxd::{Client, ClientOptions, Flavour, UnixSocket};
use bcm_ssh::{HostKeyPolicy, Ssh, SshOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = SshOptions::new(HostKeyPolicy::Strict, std::env::temp_dir());
    let mut place = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--ssh-config" => options = options.ssh_config(arguments.next().unwrap_or_default()),
            _ => place = Some(argument),
        }
    }
    let place = place.ok_or("give the path of a socket, or user@host")?;
    let client = match place.starts_with('/') {
        true => Client::connect(UnixSocket::new(&place)).await?,
        false => over_ssh(&place, &options).await?,
    };
    println!("{} {} on {place}", client.flavour(), client.version());
    for member in client.cluster_members().await? {
        let roles = member.roles.join(", ");
        println!("member {}: {} ({roles})", member.server_name, member.status);
    }
    for instance in client.all_instances().await? {
        let (name, project) = (&instance.name, &instance.project);
        println!(
            "instance {project}/{name}: {} on {}",
            instance.status, instance.location
        );
    }
    for pool in client.storage_pools().await? {
        println!("storage pool {}: {}", pool.entity.name, pool.driver);
    }
    Ok(())
}

/// A client of the engine of a machine, whichever of the two runs there. No port has to be open but
/// that of SSH.
async fn over_ssh(host: &str, options: &SshOptions) -> Result<Client, Box<dyn Error>> {
    let session = Ssh::connect(&host.parse()?, options).await?;
    let machine = Machine::new(host, Arc::new(session));
    for flavour in [Flavour::Incus, Flavour::Lxd] {
        let limits = ClientOptions::default();
        if let Some(client) = machine.engine(flavour, limits).await? {
            return Ok(client);
        }
    }
    Err(format!("neither Incus nor LXD runs on {host}").into())
}
