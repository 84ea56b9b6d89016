//! Makes a cluster of the machines that are named, or shows what that would do.
//!
//! ```text
//! cargo run -p bcm-examples --example make_cluster -- [--dry-run] [--ssh-config FILE] HOST…
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use std::error::Error;
use std::sync::Arc;

use bcm_lxd::cluster::{ApplyOptions, ClusterSpec, MemberSpec, apply, health, observe, plan};
use bcm_lxd::host::Machine;
use bcm_ssh::{HostKeyPolicy, Ssh, SshOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut dry_run = false;
    let mut options = SshOptions::new(HostKeyPolicy::AcceptNew, "/tmp");
    let mut hosts = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dry-run" => dry_run = true,
            "--ssh-config" => {
                options = options.ssh_config(arguments.next().unwrap_or_default());
            }
            host => hosts.push(host.to_owned()),
        }
    }
    let spec = ClusterSpec {
        members: hosts.iter().map(MemberSpec::new).collect(),
        ..ClusterSpec::new("example")
    };
    let mut machines = Vec::new();
    for host in &hosts {
        let session = Ssh::connect(&host.parse()?, &options).await?;
        machines.push(Machine::new(host, Arc::new(session)));
    }
    let observed = observe(&machines).await.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let (plan, findings) = match plan(&spec, &observed) {
        Err(bcm_lxd::cluster::PlanError::Checks(findings)) => {
            for finding in findings {
                eprintln!("{:?}: {} ({})", finding.severity, finding.what, finding.fix);
            }
            return Err("the machines are not fit".into());
        }
        result => result?,
    };
    for finding in &findings {
        eprintln!("note: {} ({})", finding.what, finding.fix);
    }
    for step in &plan.steps {
        println!("{step}");
    }
    if dry_run {
        return Ok(());
    }
    let applied = apply(
        &plan,
        &machines,
        &ApplyOptions::default(),
        &bcm_core::progress::none(),
        || false,
    )
    .await?;
    for (step, seconds) in &applied.steps {
        println!("{seconds:6.1} s  {step}");
    }
    let reached: Vec<_> = machines
        .into_iter()
        .map(|machine| (machine.host().to_owned(), Ok(machine)))
        .collect();
    let health = health(&reached, plan.flavour, std::time::Duration::from_secs(10)).await;
    println!(
        "healthy: {}, survives {:?} losses",
        health.healthy, health.survives_losses
    );
    for problem in health.problems {
        println!("problem: {problem}");
    }
    Ok(())
}
