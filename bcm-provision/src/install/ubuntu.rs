//! Answers for Ubuntu Server's installer.
//!
//! Keys and what they mean are from the "Autoinstall configuration reference" of Ubuntu's documentation, the
//! actions of `storage` from curtin's ("Storage"), the network's from netplan's.

use super::{
    Afterwards, Disk, Firmware, InstallError, Installation, Interface, Media, MediaFile, Network,
    Root, Way, finish,
};
use crate::seed;
use crate::yaml::Yaml;

/// On the kernel's command line it says that the installer need not ask before it erases a disk.
const PARAMETER: &str = "autoinstall";

pub(super) fn media(install: &Installation) -> Result<Media, InstallError> {
    let user_data = user_data(install)?.into_bytes();
    let host = &install.hostname;
    let meta_data = format!("instance-id: install-{host}\nlocal-hostname: {host}\n").into_bytes();
    let volume = [("user-data", &user_data[..]), ("meta-data", &meta_data[..])];
    let seed = seed::volume(seed::NOCLOUD, &volume)?;
    Ok(Media {
        files: vec![
            MediaFile::new("user-data", "the answers", user_data),
            MediaFile::new("meta-data", "the machine's name, for cloud-init", meta_data),
            MediaFile::new("seed.img", "a volume CIDATA with both", seed),
        ],
        kernel_parameters: PARAMETER.to_owned(),
        ways: vec![
            Way::new(
                "from Ubuntu Server's medium",
                [
                    "write seed.img to a USB stick, or attach it as a disk, and start the machine with both"
                        .to_owned(),
                    "press e in the medium's menu".to_owned(),
                    format!("write {PARAMETER} before --- on the line that begins with linux; without it, \
                             the installer asks before it erases the disk"),
                    "press Ctrl-X".to_owned(),
                ],
            ),
            Way::new(
                "over the network",
                [
                    "serve user-data and meta-data by HTTP".to_owned(),
                    format!("start the installer with: {PARAMETER} \"ds=nocloud-net;s=http://SERVER/FOLDER/\""),
                ],
            ),
        ],
    })
}

fn user_data(install: &Installation) -> Result<String, InstallError> {
    use Yaml::{Bool, List, Map, Number};
    let mut answers = vec![
        ("version", Number(1)),
        ("locale", Yaml::text(&install.locale)),
        (
            "keyboard",
            Map(vec![("layout", Yaml::text(&install.keyboard))]),
        ),
        ("timezone", Yaml::text(&install.timezone)),
    ];
    answers.extend(network(&install.network).map(|network| ("network", network)));
    if let Some(proxy) = &install.proxy {
        answers.push(("proxy", Yaml::text(proxy)));
    }
    if let Some(mirror) = &install.mirror {
        let primary = List(vec![Map(vec![("uri", Yaml::text(mirror))])]);
        let selection = Map(vec![("primary", primary)]);
        let apt = vec![("geoip", Bool(false)), ("mirror-selection", selection)];
        answers.push(("apt", Map(apt)));
    }
    let finish = ["curtin", "in-target", "--target=/target", "--", "sh", "-ec"];
    let finish = finish.into_iter().map(str::to_owned);
    let finish = finish.chain([finish::commands(install).join("; ")]);
    let shutdown = match install.afterwards {
        Afterwards::Reboot => "reboot",
        Afterwards::PowerOff => "poweroff",
    };
    answers.extend([
        ("storage", storage(install)?),
        (
            "identity",
            Map(vec![
                ("hostname", Yaml::text(&install.hostname)),
                ("username", Yaml::text(&install.user)),
                ("password", Yaml::text(install.shadow())),
            ]),
        ),
        (
            "ssh",
            Map(vec![
                ("install-server", Bool(true)),
                ("allow-pw", Bool(false)),
                ("authorized-keys", Yaml::texts(&install.keys)),
            ]),
        ),
        ("updates", Yaml::text("security")),
        ("late-commands", List(vec![Yaml::texts(finish)])),
        ("shutdown", Yaml::text(shutdown)),
    ]);
    let document = Map(vec![("autoinstall", Map(answers))]);
    Ok(format!("#cloud-config\n{}", document.document()))
}

/// The installer's own is DHCP at every wired interface.
fn network(network: &Network) -> Option<Yaml> {
    use Yaml::{Bool, List, Map};
    let matched = match network.interface.as_ref()? {
        Interface::Name(name) => ("name", Yaml::text(name)),
        Interface::Mac(mac) => ("macaddress", Yaml::text(mac)),
    };
    let mut lan = vec![("match", Map(vec![matched]))];
    match &network.fixed {
        None => lan.push(("dhcp4", Bool(true))),
        Some(fixed) => {
            let route = vec![
                ("to", Yaml::text("default")),
                ("via", Yaml::text(fixed.gateway())),
            ];
            lan.extend([
                ("dhcp4", Bool(false)),
                ("addresses", Yaml::texts([fixed.address()])),
                ("routes", List(vec![Map(route)])),
                (
                    "nameservers",
                    Map(vec![("addresses", Yaml::texts(fixed.dns()))]),
                ),
            ]);
        }
    }
    let ethernets = Map(vec![("lan", Map(lan))]);
    Some(Map(vec![
        ("version", Yaml::Number(2)),
        ("ethernets", ethernets),
    ]))
}

/// The installer's own layout where it has one: it has none with btrfs.
fn storage(install: &Installation) -> Result<Yaml, InstallError> {
    use Yaml::Map;
    let disk = Map(vec![which(&install.disk)?]);
    Ok(match install.root {
        Root::Ext4 => Map(vec![(
            "layout",
            Map(vec![("name", Yaml::text("direct")), ("match", disk)]),
        )]),
        Root::Btrfs => Map(vec![
            // A file for swapping on btrfs takes care that the installer does not take.
            ("swap", Map(vec![("size", Yaml::Number(0))])),
            ("config", Yaml::List(btrfs(install.firmware, disk))),
        ]),
    })
}

fn which(disk: &Disk) -> Result<(&'static str, Yaml), InstallError> {
    match disk {
        Disk::Largest => Ok(("size", Yaml::text("largest"))),
        Disk::Smallest => Err(InstallError::Smallest),
        // The serial number that udev gives a disk may begin with its model's name.
        Disk::Serial(serial) => Ok(("serial", Yaml::text(format!("*{}", serial.as_str())))),
        Disk::Path(path) => {
            let below = path.as_str().strip_prefix("/dev/").unwrap_or_default();
            match (below.strip_prefix("disk/by-path/"), below.contains('/')) {
                (Some(id), _) => Ok(("id_path", Yaml::text(id))),
                (None, false) => Ok(("path", Yaml::text(path.as_str()))),
                (None, true) => Err(InstallError::DiskPath(path.as_str().to_owned())),
            }
        }
    }
}

/// The loader's partition, and one for all the rest.
fn btrfs(firmware: Firmware, disk: Yaml) -> Vec<Yaml> {
    use Yaml::{Bool, Map, Number};
    let uefi = firmware == Firmware::Uefi;
    let node = |kind: &str, id: &str, more: Vec<(&'static str, Yaml)>| {
        let mut all = vec![("type", Yaml::text(kind)), ("id", Yaml::text(id))];
        all.extend(more);
        Map(all)
    };
    let partition = |id: &str, number, size, more: Vec<(&'static str, Yaml)>| {
        let mut all = vec![
            ("device", Yaml::text("disk")),
            ("number", Number(number)),
            ("size", size),
            ("wipe", Yaml::text("superblock")),
            ("preserve", Bool(false)),
        ];
        all.extend(more);
        node("partition", id, all)
    };
    let format = |id: &str, fstype: &str, volume: &str| {
        let of = vec![
            ("fstype", Yaml::text(fstype)),
            ("volume", Yaml::text(volume)),
            ("preserve", Bool(false)),
        ];
        node("format", id, of)
    };
    let mount = |id: &str, path: &str, device: &str| {
        let of = vec![("path", Yaml::text(path)), ("device", Yaml::text(device))];
        node("mount", id, of)
    };
    let (size, flag) = match uefi {
        true => ("1G", "boot"),
        false => ("1M", "bios_grub"),
    };
    let mut loader = vec![("flag", Yaml::text(flag))];
    if uefi {
        loader.push(("grub_device", Bool(true)));
    }
    let mut nodes = vec![
        node(
            "disk",
            "disk",
            vec![
                ("match", disk),
                ("ptable", Yaml::text("gpt")),
                ("wipe", Yaml::text("superblock-recursive")),
                ("preserve", Bool(false)),
                ("grub_device", Bool(!uefi)),
            ],
        ),
        partition("loader", 1, Yaml::text(size), loader),
        partition("system", 2, Number(-1), Vec::new()),
        format("root", "btrfs", "system"),
        mount("root-mount", "/", "root"),
    ];
    if uefi {
        nodes.extend([
            format("efi", "fat32", "loader"),
            mount("efi-mount", "/boot/efi", "efi"),
        ]);
    }
    nodes
}
