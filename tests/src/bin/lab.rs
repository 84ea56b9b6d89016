//! `cargo lab`: fresh Debian machines on this machine, for people. See `bcm_tests::lab`.
//!
//! ```text
//! cargo lab doctor --install    what it needs, installed
//! cargo lab up 3                three machines
//! cargo lab ssh 1               a shell on the first
//! cargo lab fault 2 power-cut   and power-on
//! cargo lab down                away, without a trace
//! ```

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use bcm_core::cause::chain;
use bcm_tests::lab::{
    self, Found, Lab, LabError, LabOptions, LabState, Lifetime, Preinstalled, Release, doctor,
    supervisor,
};
use clap::{Parser, Subcommand, ValueEnum};

/// Fresh Debian machines on this machine: real systemd, sshd, addresses and power switches.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
struct Arguments {
    /// Where labs have their folders.
    #[arg(long, global = true, default_value = "/var/lib/bcm-lab")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start machines, and leave them running.
    Up {
        /// How many.
        #[arg(default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=150))]
        machines: u8,
        /// Debian's release: bookworm has LXD 5.0, trixie Incus 6.0.
        #[arg(long, default_value = "bookworm")]
        release: Release,
        /// With that engine's package installed, and never started.
        #[arg(long)]
        engine: bool,
    },
    /// Add a fresh machine to a running lab.
    Add {
        /// Which lab, if there are several.
        #[arg(long)]
        lab: Option<String>,
    },
    /// A shell or a command on a machine, over SSH.
    Ssh {
        /// The machine's number.
        machine: u8,
        /// Which lab, if there are several.
        #[arg(long)]
        lab: Option<String>,
        /// `bcm` may use sudo, `plain` may not.
        #[arg(long, default_value = "bcm")]
        user: String,
        /// What to run; nothing is a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Let something happen to a machine.
    Fault {
        /// The machine's number.
        machine: u8,
        /// What.
        #[arg(value_enum)]
        fault: Fault,
        /// The TCP port of `drop-port` and `undrop-port`.
        #[arg(required_if_eq_any([("fault", "drop-port"), ("fault", "undrop-port")]))]
        port: Option<u16>,
        /// Which lab, if there are several.
        #[arg(long)]
        lab: Option<String>,
    },
    /// The labs of this host and their machines.
    List,
    /// Take a lab down; without a name, all of them that `up` started, and what dead ones left.
    Down {
        /// Which.
        lab: Option<String>,
    },
    /// What this host lacks to run a lab.
    Doctor {
        /// Install what is missing, with apt-get.
        #[arg(long)]
        install: bool,
    },
    /// Start machines that end with this process, say the lab's name, and wait for stdin to end.
    /// For tests of what is left when it is killed.
    #[command(hide = true)]
    Hold { machines: u8 },
    /// Hold a lab. Not for people.
    #[command(hide = true)]
    Supervise {
        folder: PathBuf,
        #[arg(long)]
        release: Release,
        #[arg(long)]
        rootfs: PathBuf,
        #[arg(long)]
        metadata: PathBuf,
        #[arg(long)]
        attached: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    PowerCut,
    PowerOn,
    Pause,
    Resume,
    Unplug,
    Plug,
    DropPort,
    UndropPort,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, LabError> {
    let root = arguments.root;
    match arguments.command {
        Command::Up {
            machines,
            release,
            engine,
        } => up(root, machines, release, engine)?,
        Command::Add { lab } => {
            let machine = join(&root, lab.as_deref())?.add_machine()?;
            println!("{}  {}", machine.name(), machine.address());
        }
        Command::Ssh {
            machine,
            lab,
            user,
            command,
        } => {
            let machine = join(&root, lab.as_deref())?.machine(machine)?;
            let mut ssh = machine.ssh_command(&user);
            ssh.stdin(std::process::Stdio::inherit())
                .arg(machine.name())
                .args(command);
            return Err(LabError::Spawn {
                program: "ssh".to_owned(),
                source: ssh.exec(),
            });
        }
        Command::Fault {
            machine,
            fault,
            port,
            lab,
        } => {
            let machine = join(&root, lab.as_deref())?.machine(machine)?;
            let port = port.unwrap_or_default();
            match fault {
                Fault::PowerCut => machine.power_cut(),
                Fault::PowerOn => machine.power_on(),
                Fault::Pause => machine.pause(),
                Fault::Resume => machine.resume(),
                Fault::Unplug => machine.unplug(),
                Fault::Plug => machine
                    .plug()
                    .and_then(|()| machine.wait_ssh(Duration::from_secs(60))),
                Fault::DropPort => machine.drop_port(port),
                Fault::UndropPort => machine.undrop_port(port),
            }?;
        }
        Command::List => list(&lab::find(&root)?),
        Command::Down { lab } => down(&root, lab.as_deref())?,
        Command::Doctor { install } => return doctor_says(install),
        Command::Hold { machines } => {
            let lab = Lab::start(&LabOptions {
                machines,
                root,
                ..LabOptions::new(this_program()?)
            })?;
            println!("{}", lab.id());
            let read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            read.map_err(|source| LabError::Io {
                operation: "read",
                path: "stdin".into(),
                source,
            })?;
        }
        Command::Supervise {
            folder,
            release,
            rootfs,
            metadata,
            attached,
        } => {
            let ended = supervisor::run(&supervisor::Orders {
                folder,
                release,
                rootfs,
                metadata,
                attached,
            });
            if let Err(error) = &ended {
                // The process that started this one reads one line.
                println!("{}", chain(error).replace('\n', " | "));
            }
            ended?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn this_program() -> Result<PathBuf, LabError> {
    std::env::current_exe().map_err(|source| LabError::Spawn {
        program: "this program".to_owned(),
        source,
    })
}

fn up(root: PathBuf, machines: u8, release: Release, engine: bool) -> Result<(), LabError> {
    let start = Instant::now();
    let lab = Lab::start_saying(
        &LabOptions {
            machines,
            release,
            preinstalled: match engine {
                true => Preinstalled::Engine,
                false => Preinstalled::Nothing,
            },
            lifetime: Lifetime::Detached,
            root,
            ..LabOptions::new(this_program()?)
        },
        &|text| eprintln!("{text}"),
    )?;
    eprintln!(
        "lab {} with {machines} {release} machines in {:.1} s",
        lab.id(),
        start.elapsed().as_secs_f64()
    );
    for machine in lab.machines() {
        println!("{}  {}", machine.name(), machine.address());
    }
    eprintln!(
        "cargo lab ssh 1, or: ssh -F {} node1",
        lab.ssh_config().display()
    );
    Ok(())
}

/// The lab of that name, or the only one there is.
fn join(root: &std::path::Path, name: Option<&str>) -> Result<Lab, LabError> {
    let labs = lab::find(root)?;
    let cache = LabOptions::new("").cache;
    let running: Vec<&Found> = labs
        .iter()
        .filter(|lab| lab.state == LabState::Running)
        .filter(|lab| name.is_none_or(|name| name == lab.id))
        .collect();
    match running[..] {
        [lab] => Lab::join(lab, &cache),
        [] => Err(LabError::NoLab(match name {
            Some(name) => format!("no lab {name} runs; `cargo lab list` shows which do"),
            None => "no lab runs; `cargo lab up` starts one".to_owned(),
        })),
        _ => Err(LabError::NoLab(format!(
            "several labs run; say --lab {}",
            running
                .iter()
                .map(|lab| &*lab.id)
                .collect::<Vec<_>>()
                .join(" or --lab ")
        ))),
    }
}

fn list(labs: &[Found]) {
    for lab in labs {
        let state = match lab.state {
            LabState::Running => "running",
            LabState::Starting => "starting",
            LabState::Dead => "dead; `cargo lab down` sweeps it",
        };
        let Some(record) = &lab.record else {
            println!("{}  {state}", lab.id);
            continue;
        };
        let kind = if record.attached {
            "of a test"
        } else {
            "of `up`"
        };
        println!(
            "{}  {state}  {}  {kind}  {}",
            lab.id, record.release, record.subnet
        );
        for machine in &record.machines {
            let ipv6 = machine.ipv6.map(|a| a.to_string()).unwrap_or_default();
            println!("  {}  {}  {ipv6}", machine.name, machine.address);
        }
    }
}

fn down(root: &std::path::Path, name: Option<&str>) -> Result<(), LabError> {
    let labs = lab::find(root)?;
    let chosen: Vec<&Found> = labs
        .iter()
        .filter(|lab| match name {
            Some(name) => lab.id == name,
            // A running test's lab is that test's.
            None => {
                lab.state == LabState::Dead
                    || lab.record.as_ref().is_some_and(|record| !record.attached)
            }
        })
        .collect();
    if let (Some(name), []) = (name, &chosen[..]) {
        return Err(LabError::NoLab(format!("there is no lab {name}")));
    }
    for lab in chosen {
        lab::take_down(lab)?;
        eprintln!("lab {} is gone", lab.id);
    }
    Ok(())
}

fn doctor_says(install: bool) -> Result<ExitCode, LabError> {
    if install {
        doctor::install(&|text| eprintln!("{text}"))?;
    }
    let missing = doctor::missing();
    if missing.is_empty() {
        println!("this host can run a lab");
        return Ok(ExitCode::SUCCESS);
    }
    for missing in &missing {
        println!("missing: {missing}");
    }
    if !install {
        println!("`cargo lab doctor --install` installs packages, as root");
    }
    Ok(ExitCode::FAILURE)
}
