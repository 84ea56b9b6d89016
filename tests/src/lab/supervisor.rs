//! The process that holds a lab: it sets up what is outside and inside of the namespaces, and takes
//! all of it down again when its time has come.

use std::{
    fs::{self, File},
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    LabError, LabRecord, Release,
    lxc::Lxc,
    process::{self, command, succeed},
    record::Folder,
    subnet::Subnet,
    teardown,
};

/// What the supervisor is told by the process that starts a lab.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The lab's folder, which is there already; its last component is the lab's name.
    pub folder: PathBuf,
    /// What the machines run.
    pub release: Release,
    /// The base image's root file system.
    pub rootfs: PathBuf,
    /// The base image's metadata.
    pub metadata: PathBuf,
    /// Whether the lab ends when stdin does.
    pub attached: bool,
}

/// A short time on a machine that has something to do.
const SHORT: Duration = Duration::from_secs(20);

/// Sets a lab up, writes `ready` to stdout, and takes the lab down on SIGTERM or SIGINT, when
/// the outer daemon ends, or — for an attached lab — when stdin ends.
///
/// # Errors
/// When the set-up or the end fails; what was set up is taken down in either case.
pub fn run(orders: &Orders) -> Result<(), LabError> {
    // Not in the caller's session: a Ctrl-C there must not stop the clean-up.
    // It fails only for a process that leads a session already.
    let _ = rustix::process::setsid();
    let folder = Folder::new(orders.folder.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LabError::io("start the runtime of", folder.path()))?;
    let ended = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = LabError::io("watch signals of", folder.path());
        let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
        let signals = LabError::io("watch signals of", folder.path());
        let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
        let _alive = claim(&folder)?;
        let mut namespaces = None;
        let ended = match set_up(orders, &folder, &mut namespaces) {
            Ok(()) => {
                announce("ready");
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = end_of_stdin(), if orders.attached => {}
                    () = ended(&mut namespaces) => {}
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Some(mut child) = namespaces {
            for init in process::children(child.id()) {
                kill(init);
            }
            // Ends when the last process of the namespaces has.
            if process::wait(&mut child, SHORT).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        ended.and(teardown::clean(&folder))
    });
    // A read of stdin may still be waiting.
    runtime.shutdown_background();
    ended
}

/// Says one line to the process that started this one, if it still listens.
fn announce(line: &str) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

async fn end_of_stdin() {
    // Nobody writes; an error is as final as the end.
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(read).await;
}

async fn ended(namespaces: &mut Option<Child>) {
    while let Some(child) = namespaces {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Makes `alive`, locked from its first moment and with this process's id in it.
fn claim(folder: &Folder) -> Result<File, LabError> {
    let next = folder.path().join("alive.next");
    let mut file = File::create(&next).map_err(LabError::io("create", &next))?;
    file.lock().map_err(LabError::io("lock", &next))?;
    write!(file, "{}", std::process::id()).map_err(LabError::io("write", &next))?;
    fs::rename(&next, folder.alive()).map_err(LabError::io("rename", &next))?;
    Ok(file)
}

/// The end of the virtual cable that is outside.
pub(crate) fn host_link(id: &str) -> String {
    format!("bcmlab{id}")
}

/// The nftables table of a lab.
pub(crate) fn table(id: &str) -> String {
    format!("bcm_lab_{id}")
}

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

fn set_up(
    orders: &Orders,
    folder: &Folder,
    namespaces: &mut Option<Child>,
) -> Result<(), LabError> {
    let id = teardown::id_of(folder.path());
    let name_servers = name_servers();
    write_resolver(folder, &name_servers)?;
    let child = namespaces.insert(start_namespaces(folder, &id)?);
    let init = first_child(child)?;

    // One lab at a time decides which network is free.
    let root = folder.path().parent().unwrap_or(folder.path());
    let lock_path = root.join("subnets.lock");
    let lock = File::create(&lock_path).map_err(LabError::io("create", &lock_path))?;
    lock.lock().map_err(LabError::io("lock", &lock_path))?;
    let subnet = Subnet::choose(seed(&id))?;
    // What another lab turned on was off before.
    let forwarding_before = fs::read_to_string(FORWARDING).is_ok_and(|v| v.trim() != "0")
        && !teardown::find(root)?
            .iter()
            .any(|lab| lab.record.as_ref().is_some_and(|r| !r.forwarding_before));
    let record = LabRecord {
        id: id.clone(),
        release: orders.release,
        attached: orders.attached,
        supervisor: std::process::id(),
        init,
        subnet,
        forwarding_before,
        machines: Vec::new(),
    };
    // Written before anything is made outside, so that whoever sweeps knows of it.
    folder.write_record(&record)?;
    plug_in(&id, init, subnet)?;
    drop(lock);
    fs::write(FORWARDING, "1").map_err(LabError::io("write", FORWARDING))?;
    let rules = rules(&id, subnet, &name_servers);
    succeed(
        command("nft").args(["-f", "-"]),
        Some(rules.as_bytes()),
        SHORT,
    )?;

    let lxc = Lxc::new(folder);
    wait_for_socket(folder, child)?;
    lxc.wait_ready(Duration::from_secs(60))?;
    lxc.preseed(&preseed(subnet))?;
    let inside = |arguments: &[&str]| {
        let init = init.to_string();
        let mut nsenter = command("nsenter");
        nsenter.args(["-t", &init, "-n", "ip"]).args(arguments);
        succeed(&mut nsenter, None, SHORT).map(|_| ())
    };
    inside(&["link", "set", "uplink", "master", "lan", "up"])?;
    inside(&[
        "route",
        "add",
        "default",
        "via",
        &subnet.gateway().to_string(),
    ])?;
    lxc.run(&[
        "image",
        "import",
        &orders.metadata.to_string_lossy(),
        &orders.rootfs.to_string_lossy(),
        "--alias",
        "base",
    ])?;
    Ok(())
}

/// Some number that differs between labs.
fn seed(id: &str) -> u64 {
    id.bytes().fold(17, |seed, byte| {
        seed.wrapping_mul(131).wrapping_add(u64::from(byte))
    })
}

/// The name servers of this host that another network namespace can reach.
fn name_servers() -> Vec<Ipv4Addr> {
    // The second is where systemd-resolved lists those behind its own on 127.0.0.53.
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| parse_name_servers(&text))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn parse_name_servers(text: &str) -> Vec<Ipv4Addr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse::<Ipv4Addr>().ok())
        .filter(|address| !address.is_loopback())
        .collect()
}

fn write_resolver(folder: &Folder, name_servers: &[Ipv4Addr]) -> Result<(), LabError> {
    let text: String = name_servers
        .iter()
        .map(|address| format!("nameserver {address}\n"))
        .collect();
    let path = folder.path().join("resolv.conf");
    fs::write(&path, text).map_err(LabError::io("write", &path))
}

fn start_namespaces(folder: &Folder, id: &str) -> Result<Child, LabError> {
    let lxd = folder.lxd();
    fs::create_dir_all(&lxd).map_err(LabError::io("create", &lxd))?;
    let script = folder.path().join("namespaces.sh");
    fs::write(&script, include_str!("scripts/namespaces.sh"))
        .map_err(LabError::io("write", &script))?;
    let log_path = folder.path().join("namespaces.log");
    let log = File::create(&log_path).map_err(LabError::io("create", &log_path))?;
    let log_too = log.try_clone().map_err(LabError::io("write", &log_path))?;
    command("setpriv")
        // Should this process be killed, its namespaces end with it.
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--mount", "--pid", "--net", "--uts", "--ipc"])
        .args(["--fork", "--kill-child=KILL", "sh"])
        .arg(&script)
        .arg(folder.path())
        .arg(id)
        .env("LXD_DIR", lxd)
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(log_too))
        .spawn()
        .map_err(|source| LabError::Spawn {
            program: "setpriv unshare".to_owned(),
            source,
        })
}

fn first_child(parent: &mut Child) -> Result<u32, LabError> {
    let start = Instant::now();
    loop {
        if let Some(&init) = process::children(parent.id()).first() {
            return Ok(init);
        }
        if start.elapsed() > SHORT || !matches!(parent.try_wait(), Ok(None)) {
            return Err(bcm_core::wait::Timeout {
                what: "the lab's namespaces".to_owned(),
                waited: start.elapsed(),
                last_seen: "no first process in them; see namespaces.log".to_owned(),
            }
            .into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_socket(folder: &Folder, child: &mut Child) -> Result<(), LabError> {
    let start = Instant::now();
    while !folder.lxd().join("unix.socket").exists() {
        if start.elapsed() > Duration::from_secs(60) || !matches!(child.try_wait(), Ok(None)) {
            let log = |name| {
                let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
                process::tail(&text, 500)
            };
            return Err(bcm_core::wait::Timeout {
                what: "the outer LXD".to_owned(),
                waited: start.elapsed(),
                last_seen: format!("{} {}", log("namespaces.log"), log("lxd.log")),
            }
            .into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Lays the cable: this host has one end and the gateway's addresses, the bridge gets the other.
fn plug_in(id: &str, init: u32, subnet: Subnet) -> Result<(), LabError> {
    let link = host_link(id);
    let ip = |arguments: &[&str]| succeed(command("ip").args(arguments), None, SHORT).map(|_| ());
    let init = init.to_string();
    ip(&[
        "link", "add", &link, "type", "veth", "peer", "name", "uplink", "netns", &init,
    ])?;
    // The lab's bridge announces itself as an IPv6 router; this host must not believe it.
    let ipv6 = Path::new("/proc/sys/net/ipv6/conf").join(&link);
    if ipv6.exists() {
        let accept = ipv6.join("accept_ra");
        fs::write(&accept, "0").map_err(LabError::io("write", &accept))?;
        let address = format!("{}::1/64", subnet.ipv6_prefix());
        ip(&["-6", "addr", "add", &address, "dev", &link, "nodad"])?;
    }
    ip(&[
        "addr",
        "add",
        &format!("{}/24", subnet.gateway()),
        "dev",
        &link,
    ])?;
    ip(&["link", "set", &link, "up"])
}

/// What this host does with the lab's packets.
fn rules(id: &str, subnet: Subnet, name_servers: &[Ipv4Addr]) -> String {
    let except = if name_servers.is_empty() {
        String::new()
    } else {
        let list: Vec<String> = name_servers.iter().map(ToString::to_string).collect();
        format!("ip daddr != {{ {} }} ", list.join(", "))
    };
    let private = "ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 }";
    let link = host_link(id);
    // LXD and Incus look for a free subnet by knocking at private addresses (ping, ports 22 and
    // 53). Some networks answer for every address there is; on the lab's nobody else lives.
    format!(
        "table ip {table} {{\n\
         chain out {{\n\
         type nat hook postrouting priority srcnat\n\
         ip saddr {subnet} ip daddr != {subnet} masquerade\n\
         }}\n\
         chain through {{\n\
         type filter hook forward priority filter\n\
         iifname \"{link}\" {except}{private} tcp dport {{ 22, 53 }} reject\n\
         iifname \"{link}\" {except}{private} icmp type echo-request reject\n\
         }}\n\
         }}\n",
        table = table(id)
    )
}

/// What the outer LXD is made of.
fn preseed(subnet: Subnet) -> String {
    let mut yaml = format!(
        "config:\n  images.auto_update_interval: \"0\"\n\
         storage_pools:\n- name: lab\n  driver: btrfs\n  config:\n    size: 60GiB\n\
         networks:\n- name: lan\n  type: bridge\n  config:\n    \
         ipv4.address: {dns}/24\n    ipv4.nat: \"false\"\n    ipv4.dhcp.gateway: {gateway}\n    \
         ipv4.dhcp.ranges: {from}-{to}\n    \
         ipv6.address: {prefix}::2/64\n    ipv6.nat: \"false\"\n    dns.domain: lab\n\
         profiles:\n- name: default\n  config:\n    \
         security.privileged: \"true\"\n    security.nesting: \"true\"\n  devices:\n    \
         root: {{type: disk, path: /, pool: lab}}\n    \
         eth0: {{type: nic, name: eth0, network: lan}}\n    \
         loop-control: {{type: unix-char, path: /dev/loop-control}}\n",
        dns = subnet.name_server(),
        gateway = subnet.gateway(),
        from = subnet.address(200),
        to = subnet.address(250),
        prefix = subnet.ipv6_prefix(),
    );
    // Storage pools in files, inside the machines: the kernel has one set of loop devices for all.
    for n in 0..32 {
        yaml.push_str(&format!(
            "    loop{n}: {{type: unix-block, path: /dev/loop{n}, major: \"7\", minor: \"{n}\"}}\n"
        ));
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_name_servers_are_of_no_use_inside() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\nsearch a\n";
        assert_eq!(parse_name_servers(text), [Ipv4Addr::new(192, 0, 2, 53)]);
    }

    #[test]
    fn labs_differ_in_their_seed() {
        assert_ne!(seed("abc123"), seed("abc124"));
    }

    #[test]
    fn a_link_name_fits_the_kernel() {
        // IFNAMSIZ is 16 with the final NUL.
        assert!(host_link("zzzzzz").len() < 16);
    }
}
