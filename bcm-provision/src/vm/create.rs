//! Makes what is missing of a fleet.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use bcm_core::progress::watched;

use super::fleet::{
    Fleet, LAN_PREFIX, MOST, Node, NodeState, Provider, Record, Resources, USER, host_of,
    private_folder, remove_folder, write,
};
use super::image::{self, Format, Image, ImageSource};
use super::multipass::Multipass;
use super::qemu::{self, Qemu};
use super::{VmContext, VmError, keys, power, program};
use crate::cloud_init::{FirstBoot, Interface};

/// What is wanted of a fleet. What is left out is as it is already, or the default.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How many machines, 1 to 16. Default 1.
    pub count: Option<u8>,
    /// Processors of a machine that is made.
    pub cpus: Option<u32>,
    /// Its memory in bytes.
    pub memory: Option<u64>,
    /// The size of its disk in bytes.
    pub disk: Option<u64>,
    /// What it starts from; not with Multipass.
    pub image: ImageSource,
    /// Who makes it. Default: Multipass where it is installed and no image is given, else QEMU.
    pub provider: Option<Provider>,
    /// Public keys that log in beside the fleet's own.
    pub keys: Vec<String>,
}

/// Makes machines of `cluster` until there are as many as wanted, starts those that do not run, and
/// waits until all have booted. What is there already is kept as it is.
///
/// Cancel safety: what was begun is not taken for whole, and the same call goes on; machines that
/// were started run on.
///
/// # Errors
/// Something cannot be meant, is missing, or went wrong. What was made until then is kept.
pub async fn create(
    context: &VmContext,
    cluster: &str,
    wanted: &Wanted,
) -> Result<Vec<Node>, VmError> {
    let fleet = Fleet::of(&context.folder, cluster)?;
    let _lock = fleet.lock()?;
    let record = fleet.record()?;
    let nodes = fleet.nodes()?;
    let missing = missing(cluster, &nodes, wanted.count)?;
    let resources = resources(record.as_ref(), wanted)?;
    let provider = choose_provider(context, record.as_ref(), wanted)?;
    let record = Record {
        provider,
        resources,
    };
    let found = match provider {
        Provider::Multipass => {
            let multipass =
                Multipass::find(&context.programs).ok_or_else(|| no_provider(context))?;
            private_folder(fleet.folder())?;
            fleet.save(&record)?;
            for number in missing {
                let mut node = new_node(&fleet, number, resources)?;
                let host = node.host.clone();
                let launching = launch(context, &fleet, &multipass, &mut node, wanted);
                watched(&context.progress, &format!("launching {host}"), launching).await?;
            }
            None
        }
        Provider::Qemu => {
            let qemu = Qemu::find(&context.programs).await?;
            let qemu = qemu.ok_or_else(|| no_provider(context))?;
            if !missing.is_empty() {
                check_host(context, &nodes, missing.len() as u64, resources)?;
                let image = image::ensure(context, &wanted.image).await?;
                if image.size > resources.disk {
                    return Err(VmError::Wanted(format!(
                        "the image is {} MiB large, and the disks are to have {} MiB; ask for larger ones",
                        image.size >> 20,
                        resources.disk >> 20
                    )));
                }
                // So that the answer is there for all that starts.
                qemu::choose(context, &qemu.program, &image).await?;
                private_folder(fleet.folder())?;
                fleet.save(&record)?;
                for number in missing {
                    let mut node = new_node(&fleet, number, resources)?;
                    node.boot = Some(image.boot());
                    let making = make(context, &fleet, &node, &image, wanted);
                    let name = format!("making the machine {}", node.host);
                    watched(&context.progress, &name, making).await?;
                }
            }
            Some(qemu)
        }
    };
    power::start_all(context, &fleet, found).await
}

/// What [`create`] would do, in words.
///
/// # Errors
/// Something cannot be meant, or is missing.
pub async fn plan(
    context: &VmContext,
    cluster: &str,
    wanted: &Wanted,
) -> Result<Vec<String>, VmError> {
    let fleet = Fleet::of(&context.folder, cluster)?;
    let record = fleet.record()?;
    let resources = resources(record.as_ref(), wanted)?;
    let provider = choose_provider(context, record.as_ref(), wanted)?;
    let by = match provider {
        Provider::Qemu => "QEMU",
        Provider::Multipass => "Multipass",
    };
    let states = fleet.states(context).await?;
    let mut steps: Vec<String> = states
        .iter()
        .filter(|(_, state)| *state == NodeState::Stopped)
        .map(|(node, _)| format!("start the virtual machine {}", node.host))
        .collect();
    let nodes: Vec<Node> = states.into_iter().map(|(node, _)| node).collect();
    steps.extend(missing(cluster, &nodes, wanted.count)?.into_iter().map(|number| {
        format!(
            "make the virtual machine {} with {by}: {} processors, {} MiB of memory, a disk of {} GiB",
            host_of(cluster, number),
            resources.cpus,
            resources.memory >> 20,
            resources.disk >> 30
        )
    }));
    Ok(steps)
}

/// The numbers of the machines that are not there: the lowest that are free.
fn missing(cluster: &str, nodes: &[Node], count: Option<u8>) -> Result<Vec<u8>, VmError> {
    if count.is_some_and(|count| count == 0 || count > MOST) {
        return Err(VmError::Wanted(format!(
            "a cluster of virtual machines has 1 to {MOST} of them"
        )));
    }
    let there = nodes.len();
    let count = count.map_or(there.max(1), usize::from);
    if there > count {
        return Err(VmError::Wanted(format!(
            "the cluster {cluster} has {there} virtual machines, and {count} are wanted; \
             `bcm cluster remove` takes one away"
        )));
    }
    Ok((1..=MOST)
        .filter(|number| nodes.iter().all(|node| node.number != *number))
        .take(count - there)
        .collect())
}

/// The least memory in which a system boots and an engine runs.
const LEAST_MEMORY: u64 = 512 << 20;

/// What new machines are given.
fn resources(record: Option<&Record>, wanted: &Wanted) -> Result<Resources, VmError> {
    let known = record.map(|record| record.resources).unwrap_or_default();
    let resources = Resources {
        cpus: wanted.cpus.unwrap_or(known.cpus),
        memory: wanted.memory.unwrap_or(known.memory),
        disk: wanted.disk.unwrap_or(known.disk),
    };
    if resources.cpus == 0 {
        return Err(VmError::Wanted(
            "a machine has at least one processor".to_owned(),
        ));
    }
    if resources.memory < LEAST_MEMORY {
        return Err(VmError::Wanted(format!(
            "{} MiB of memory are too few: a machine needs {} MiB, and better 1 GiB",
            resources.memory >> 20,
            LEAST_MEMORY >> 20
        )));
    }
    Ok(resources)
}

fn choose_provider(
    context: &VmContext,
    record: Option<&Record>,
    wanted: &Wanted,
) -> Result<Provider, VmError> {
    let given = wanted.image != ImageSource::Debian;
    let provider = match (record, wanted.provider) {
        (Some(record), Some(wanted)) if record.provider != wanted => {
            return Err(VmError::Wanted(
                "the cluster's machines are made by another provider; leave --vm-provider away"
                    .to_owned(),
            ));
        }
        (Some(record), _) => record.provider,
        (None, Some(provider)) => provider,
        (None, None) => match Multipass::find(&context.programs) {
            Some(_) if !given => Provider::Multipass,
            _ => Provider::Qemu,
        },
    };
    if provider == Provider::Multipass && given {
        return Err(VmError::Wanted(
            "Multipass brings images of its own; an image that is given is for --vm-provider qemu"
                .to_owned(),
        ));
    }
    Ok(provider)
}

/// Says how to get what makes machines.
fn no_provider(context: &VmContext) -> VmError {
    let apt = "apt-get install qemu-system-x86";
    VmError::NoProvider {
        missing: "there is neither QEMU (qemu-system-x86_64) nor Multipass".to_owned(),
        install: match context.programs.find("snap") {
            Some(_) => format!("install one: snap install multipass, or {apt}"),
            None => format!("install QEMU: {apt}"),
        },
    }
}

/// Refuses what this machine has no room for.
fn check_host(
    context: &VmContext,
    nodes: &[Node],
    missing: u64,
    resources: Resources,
) -> Result<(), VmError> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let there: u64 = nodes.iter().map(|node| node.resources.memory).sum();
    let wanted = there + resources.memory.saturating_mul(missing);
    if let Some(total) = memory_of(&meminfo).filter(|total| wanted > *total) {
        return Err(VmError::Wanted(format!(
            "the machines would have {} MiB of memory, and this one has {} MiB; ask for less",
            wanted >> 20,
            total >> 20
        )));
    }
    let stat = rustix::fs::statvfs(&context.folder)
        .map_err(|errno| VmError::io("look at", &context.folder)(errno.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let wanted = resources.disk.saturating_mul(missing);
    if wanted > free {
        return Err(VmError::NoRoom {
            folder: context.folder.clone(),
            free,
            wanted,
        });
    }
    Ok(())
}

/// `MemTotal` of `/proc/meminfo`, which counts in units of 1024 bytes.
fn memory_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

fn new_node(fleet: &Fleet, number: u8, resources: Resources) -> Result<Node, VmError> {
    Ok(Node {
        number,
        host: host_of(fleet.cluster(), number),
        resources,
        uuid: qemu::new_uuid()?,
        boot: None,
        at: (IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    })
}

/// What the machine is told at its first boot, with keys that are made where they are missing.
async fn first_boot(
    context: &VmContext,
    fleet: &Fleet,
    node: &Node,
    folder: &Path,
    wanted: &Wanted,
) -> Result<FirstBoot, VmError> {
    let login = fleet.login_key();
    let host_key = folder.join("host_key");
    keys::ensure(
        &context.programs,
        &login,
        &format!("bcm {}", fleet.cluster()),
    )
    .await?;
    keys::ensure(&context.programs, &host_key, &node.host).await?;
    let mut all = vec![keys::public(&login)?];
    all.extend(wanted.keys.iter().cloned());
    Ok(FirstBoot {
        hostname: node.host.clone(),
        user: USER.to_owned(),
        default_user: false,
        keys: all,
        host_key: Some(keys::host_key(&host_key)?),
        interfaces: Vec::new(),
    })
}

/// How long copying an image may take.
const COPY_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Makes the machine's folder, which gets its name when all is in it.
async fn make(
    context: &VmContext,
    fleet: &Fleet,
    node: &Node,
    image: &Image,
    wanted: &Wanted,
) -> Result<(), VmError> {
    let folder = fleet.folder().join(format!(".{}", node.folder()));
    remove_folder(&folder)?;
    // One without its record is not whole either.
    remove_folder(&fleet.node_folder(node))?;
    private_folder(&folder)?;
    let mut first = first_boot(context, fleet, node, &folder, wanted).await?;
    first.interfaces = vec![
        Interface {
            name: "nat0".to_owned(),
            mac: node.mac(0),
            address: None,
        },
        Interface {
            name: "lan0".to_owned(),
            mac: node.mac(1),
            address: Some((node.lan_address(), LAN_PREFIX)),
        },
    ];
    private_file(&folder.join("seed"), &first.volume()?)?;
    let disk = folder.join("disk");
    copy(context, &image.disk, &disk).await?;
    if let Some((kernel, initrd)) = &image.kernel {
        copy(context, kernel, &folder.join("vmlinuz")).await?;
        copy(context, initrd, &folder.join("initrd")).await?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&disk)
        .map_err(VmError::io("open", &disk))?;
    // A disk of qcow2 grows when it is first started.
    if image.format == Format::Raw {
        file.set_len(node.resources.disk)
            .map_err(VmError::io("enlarge", &disk))?;
    }
    file.sync_all().map_err(VmError::io("write", &disk))?;
    write(&folder.join("node.json"), node)?;
    let whole = fleet.node_folder(node);
    fs::rename(&folder, &whole).map_err(VmError::io("rename", &folder))?;
    Ok(bcm_core::atomic_file::sync_dir(fleet.folder())?)
}

/// The same for a machine that Multipass makes.
async fn launch(
    context: &VmContext,
    fleet: &Fleet,
    multipass: &Multipass,
    node: &mut Node,
    wanted: &Wanted,
) -> Result<(), VmError> {
    let folder = fleet.folder().join(format!(".{}", node.folder()));
    // Its host key is the one that a machine was told which is there already.
    private_folder(&folder)?;
    let mut first = first_boot(context, fleet, node, &folder, wanted).await?;
    // Multipass logs in as that one.
    first.default_user = true;
    multipass.launch(context, node, &first.user_data()).await?;
    write(&folder.join("node.json"), node)?;
    let whole = fleet.node_folder(node);
    remove_folder(&whole)?;
    fs::rename(&folder, &whole).map_err(VmError::io("rename", &folder))
}

/// Copies a disk: by reference where the file system can, and without the holes.
async fn copy(context: &VmContext, from: &Path, to: &Path) -> Result<(), VmError> {
    let cp = context.programs.find("cp").ok_or(VmError::Missing {
        what: "copying an image",
        packages: vec!["coreutils"],
    })?;
    let mut arguments = ["--reflink=auto", "--sparse=always", "--"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend([from, to].map(|path| path.to_string_lossy().into_owned()));
    program::run(&cp, &arguments, b"", COPY_LIMIT, |_| {}).await?;
    // It copies what may be done with the image, too.
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(VmError::io("write", to))
}

fn private_file(path: &Path, content: &[u8]) -> Result<(), VmError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(VmError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> Node {
        let fleet = Fleet::of(Path::new("/vms"), "home").unwrap();
        new_node(&fleet, number, Resources::default()).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted {
            count: None,
            cpus: None,
            memory: None,
            disk: None,
            image: ImageSource::Debian,
            provider: None,
            keys: Vec::new(),
        }
    }

    #[test]
    fn what_is_there_stays_and_the_lowest_numbers_are_made() {
        assert_eq!(missing("home", &[], None).unwrap(), [1]);
        assert_eq!(missing("home", &[], Some(3)).unwrap(), [1, 2, 3]);
        let there = [node(1), node(3)];
        assert!(missing("home", &there, None).unwrap().is_empty());
        assert_eq!(missing("home", &there, Some(4)).unwrap(), [2, 4]);
        let error = missing("home", &there, Some(1)).unwrap_err();
        assert!(error.to_string().contains("cluster remove"), "{error}");
    }

    #[test]
    fn new_machines_are_like_the_others_unless_something_is_said() {
        let known = Resources {
            cpus: 4,
            memory: 4 << 30,
            disk: 50 << 30,
        };
        let record = Record {
            provider: Provider::Qemu,
            resources: known,
        };
        assert_eq!(resources(Some(&record), &wanted()).unwrap(), known);
        let more = Wanted {
            memory: Some(8 << 30),
            ..wanted()
        };
        assert_eq!(resources(Some(&record), &more).unwrap().memory, 8 << 30);
        for wrong in [
            Wanted {
                cpus: Some(0),
                ..wanted()
            },
            Wanted {
                memory: Some(64 << 20),
                ..wanted()
            },
        ] {
            assert!(resources(None, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(
            memory_of("MemTotal:  1024 kB\nMemFree: 1 kB\n"),
            Some(1 << 20)
        );
        assert_eq!(memory_of(""), None);
    }
}
