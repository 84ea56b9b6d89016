//! Machines that QEMU runs.

mod accel;
mod command;
mod process;
mod qmp;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;

pub use accel::Accel;
pub(crate) use accel::{choose, of_node};
pub use command::{QemuMachine, QemuSwitch};
pub(crate) use process::{kill_all, new_uuid};

use super::fleet::{Fleet, Node, NodeState, private_folder};
use super::image::Format;
use super::program::{Programs, tail};
use super::{VmContext, VmError};
use qmp::Qmp;

/// The QEMU of this machine, and what it can.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    pub(crate) program: PathBuf,
    sandbox: bool,
}

/// How long QEMU may take to say what it is, or to be ready for commands.
const READY: Duration = Duration::from_secs(60);

impl Qemu {
    /// Looks for it, and asks what it can. `None` where it is not there.
    pub(crate) async fn find(programs: &Programs) -> Result<Option<Self>, VmError> {
        // Machines are of one kind only: a PC.
        let Some(program) = programs.find("qemu-system-x86_64") else {
            return Ok(None);
        };
        let mut last = None;
        for sandbox in [true, false] {
            match version(&program, sandbox).await {
                Ok(version) if version < (7, 2) => {
                    let (major, minor) = version;
                    return Err(VmError::OldQemu {
                        version: format!("{major}.{minor}"),
                    });
                }
                Ok(_) => return Ok(Some(Self { program, sandbox })),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }
}

/// Starts a QEMU without a machine and asks it for its version.
async fn version(program: &Path, sandbox: bool) -> Result<(u64, u64), VmError> {
    let mut arguments = vec!["-nodefaults", "-machine", "none", "-display", "none"];
    if sandbox {
        arguments.extend(["-sandbox", "on,spawn=deny"]);
    }
    arguments.extend(["-qmp", "stdio"]);
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let input = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    let said = super::program::run(program, &arguments, input, READY, |_| {}).await?;
    version_of(&said).ok_or_else(|| VmError::Program {
        program: program.display().to_string(),
        status: "its greeting is not understood".to_owned(),
        said: tail(said.as_bytes(), 3),
    })
}

/// Major and minor version in a greeting of QMP.
fn version_of(said: &str) -> Option<(u64, u64)> {
    let greeting: Value = serde_json::from_str(said.lines().next()?).ok()?;
    let version = greeting.get("QMP")?.get("version")?.get("qemu")?;
    let number = |name: &str| version.get(name).and_then(Value::as_u64);
    Some((number("major")?, number("minor")?))
}

/// Whether the machine runs.
pub(crate) fn state(node: &Node) -> NodeState {
    match process::find(&node.uuid) {
        Some(_) => NodeState::Running,
        None => NodeState::Stopped,
    }
}

/// How often another port is tried.
const PORTS: u32 = 5;

/// Starts the machine, unless it runs. The port that leads to it is kept if it is free.
pub(crate) async fn start(
    fleet: &Fleet,
    node: &mut Node,
    qemu: &Qemu,
    accel: Accel,
) -> Result<(), VmError> {
    let folder = fleet.node_folder(node);
    if process::find(&node.uuid).is_some() {
        // One that was cut off after its start still waits to be told to go on.
        return match Qmp::connect(&folder, &node.host).await? {
            Some(mut qmp) => go_on(&mut qmp, node).await,
            None => Ok(()),
        };
    }
    for turn in 1.. {
        let port = free_port(node.at.1)?;
        if node.at.1 != port {
            node.at = (IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            fleet.save_node(node)?;
        }
        let console = folder.join("console.log");
        fs::File::create(&console).map_err(VmError::io("create", &console))?;
        let machine = QemuMachine {
            node,
            port,
            accel,
            sandbox: qemu.sandbox,
        };
        let log = folder.join("qemu.log");
        let child = process::start(&qemu.program, &machine.arguments(), fleet.folder(), &log)?;
        match ready(child, &folder, &node.host, &log).await {
            Ok(mut qmp) => return go_on(&mut qmp, node).await,
            // Somebody took the port in between.
            Err(VmError::Died { said, .. }) if turn < PORTS && is_of_the_port(&said) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether QEMU says that it could not forward the port.
fn is_of_the_port(said: &str) -> bool {
    ["hostfwd", "host forwarding"]
        .iter()
        .any(|words| said.contains(words))
}

/// Waits until QEMU, just started, takes commands.
async fn ready(mut child: Child, folder: &Path, host: &str, log: &Path) -> Result<Qmp, VmError> {
    let begin = Instant::now();
    loop {
        let ended = child
            .try_wait()
            .map_err(VmError::io("wait for QEMU, log", log))?;
        if let Some(status) = ended {
            return Err(VmError::Died {
                host: host.to_owned(),
                said: process::last_words(status, log),
            });
        }
        if let Some(qmp) = Qmp::connect(folder, host).await? {
            return Ok(qmp);
        }
        if begin.elapsed() > READY {
            let _ = child.kill().await;
            return Err(VmError::Qmp {
                host: host.to_owned(),
                command: "greeting".to_owned(),
                said: format!("nobody listens after {} s", READY.as_secs()),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lets a machine run that was just started, after its disk has its size. What is there already does
/// not get smaller.
async fn go_on(qmp: &mut Qmp, node: &Node) -> Result<(), VmError> {
    let status = qmp.tell("query-status", json!({})).await?;
    let status = status.get("status").and_then(Value::as_str);
    if !matches!(status, Some("prelaunch" | "paused")) {
        return Ok(());
    }
    if node.boot.is_some_and(|boot| boot.format == Format::Qcow2) {
        let size = json!({ "device": "disk", "size": node.resources.disk });
        qmp.tell("block_resize", size).await?;
    }
    qmp.tell("cont", json!({})).await.map(drop)
}

/// `wanted` if nobody listens there, or one that the system picks.
fn free_port(wanted: u16) -> Result<u16, VmError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|listener| listener.local_addr());
    let address = bound.map_err(VmError::io("find a port on", Path::new("127.0.0.1")))?;
    Ok(address.port())
}

/// Starts what joins the machines, unless it runs.
pub(crate) async fn start_switch(fleet: &Fleet, qemu: &Qemu) -> Result<(), VmError> {
    let folder = fleet.folder().join("switch");
    private_folder(&folder)?;
    let uuid = match switch_uuid(fleet) {
        Some(uuid) => uuid,
        None => {
            let uuid = new_uuid()?;
            let path = folder.join("uuid");
            bcm_core::atomic_file::write(&path, uuid.as_bytes(), 0o600)?;
            uuid
        }
    };
    if process::find(&uuid).is_some() {
        return Ok(());
    }
    let switch = QemuSwitch {
        cluster: fleet.cluster(),
        uuid: &uuid,
        sandbox: qemu.sandbox,
    };
    let log = folder.join("qemu.log");
    let child = process::start(&qemu.program, &switch.arguments(), fleet.folder(), &log)?;
    let host = format!("{}-switch", fleet.cluster());
    ready(child, &folder, &host, &log).await.map(drop)
}

fn switch_uuid(fleet: &Fleet) -> Option<String> {
    fs::read_to_string(fleet.folder().join("switch/uuid"))
        .ok()
        .filter(|uuid| !uuid.is_empty())
}

/// Ends what joins the machines.
pub(crate) async fn stop_switch(fleet: &Fleet) -> Result<(), VmError> {
    match switch_uuid(fleet) {
        Some(uuid) => process::kill(&uuid, &format!("{}-switch", fleet.cluster())).await,
        None => Ok(()),
    }
}

/// Shuts the machine down, and cuts its power after `limit`. Whether it shut down by itself.
pub(crate) async fn stop(fleet: &Fleet, node: &Node, limit: Duration) -> Result<bool, VmError> {
    if process::find(&node.uuid).is_none() {
        return Ok(true);
    }
    let folder = fleet.node_folder(node);
    if let Ok(Some(mut qmp)) = Qmp::connect(&folder, &node.host).await {
        // The power button. A system that boots yet does not hear it, so it is pressed again.
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if qmp.tell("system_powerdown", json!({})).await.is_err() {
                break;
            }
            let rest = limit.saturating_sub(begin.elapsed());
            if process::gone(&node.uuid, rest.min(Duration::from_secs(20))).await {
                return Ok(true);
            }
        }
    }
    kill(node).await.map(|()| false)
}

/// Cuts the machine's power.
pub(crate) async fn kill(node: &Node) -> Result<(), VmError> {
    process::kill(&node.uuid, &node.host).await
}

/// How long a greeting of sshd may take once there is a connection. QEMU takes connections before
/// anybody listens in the machine.
const GREETING: Duration = Duration::from_secs(20);

/// Waits until the machine's sshd greets: cloud-init made the user and the keys before.
pub(crate) async fn booted(context: &VmContext, fleet: &Fleet, node: &Node) -> Result<(), VmError> {
    let begin = Instant::now();
    let console = fleet.node_folder(node).join("console.log");
    let shown = |lines| {
        fs::read(&console)
            .map(|said| tail(&said, lines))
            .unwrap_or_default()
    };
    loop {
        if greets(node.at).await {
            return Ok(());
        }
        if process::find(&node.uuid).is_none() {
            let log = fs::read(fleet.node_folder(node).join("qemu.log")).unwrap_or_default();
            let said = format!("{}\n{}", tail(&log, 5), shown(15));
            return Err(VmError::Died {
                host: node.host.clone(),
                said: said.trim().to_owned(),
            });
        }
        if begin.elapsed() > context.boot_limit {
            return Err(VmError::Boot {
                host: node.host.clone(),
                waited: begin.elapsed(),
                tail: shown(15),
                console,
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Whether an SSH server greets at this address (RFC 4253, 4.2).
pub(crate) async fn greets(at: (IpAddr, u16)) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(at).await.ok()?;
        let mut start = [0; 4];
        stream.read_exact(&mut start).await.ok()?;
        // So that it need not wait for the rest.
        let _ = stream.shutdown().await;
        (&start == b"SSH-").then_some(())
    };
    matches!(tokio::time::timeout(GREETING, greeting).await, Ok(Some(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_greeting() {
        let said = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}\r\n{\"return\": {}}";
        assert_eq!(version_of(said), Some((7, 2)));
        assert_eq!(version_of("usage"), None);
    }

    #[tokio::test]
    async fn only_an_ssh_server_greets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for text in ["SSH-2.0-x\r\n", "HTTP/1.1", ""] {
                use std::io::Write;
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        for expected in [true, false, false] {
            assert_eq!(greets((at.ip(), at.port())).await, expected);
        }
    }

    #[test]
    fn a_port_that_is_taken_is_not_used() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free_port(port).unwrap(), port);
    }
}
