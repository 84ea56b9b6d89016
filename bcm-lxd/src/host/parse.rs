//! Reads what the script that gathers facts prints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::flavour::{Flavour, SOCKETS};

use super::facts::{
    Address, BlockDevice, EngineFacts, HostFacts, Listener, Os, PackageState, SudoState,
};

/// The script: one run of `sh`, one round trip, no root needed, nothing changed.
pub const FACTS_SCRIPT: &str = include_str!("facts.sh");

/// What came back is not what the script prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// The script did not reach its end.
    #[error("the facts end after section {last:?}: the shell there stopped")]
    CutOff {
        /// The last section that came.
        last: String,
    },
    /// A section that every machine has is empty or not understood.
    #[error("the machine's {section} is not understood: {text:?}")]
    Section {
        /// The section.
        section: &'static str,
        /// What it says.
        text: String,
    },
}

type Sections<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Reads the output of [`FACTS_SCRIPT`].
///
/// # Errors
/// The output is cut off, or is not that of the script.
pub fn parse_facts(output: &str) -> Result<HostFacts, FactsError> {
    let sections = split(output)?;
    let lines = |name: &str| sections.get(name).cloned().unwrap_or_default();
    let first = |name: &str| lines(name).first().copied().unwrap_or_default().to_owned();
    let number = |section: &'static str| -> Result<f64, FactsError> {
        first(section)
            .trim()
            .parse()
            .map_err(|_| FactsError::Section {
                section,
                text: lines(section).join("\n"),
            })
    };
    let uname = lines("uname");
    let tools: Vec<String> = lines("tools").iter().map(ToString::to_string).collect();
    Ok(HostFacts {
        os: parse_os(&lines("os")),
        arch: uname.first().copied().unwrap_or_default().to_owned(),
        kernel: uname.get(1).copied().unwrap_or_default().to_owned(),
        hostname: first("hostname"),
        hostname_addresses: lines("resolves")
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        machine_id: first("machine-id"),
        cpus: number("cpus")? as u32,
        memory_total: meminfo(&lines("memory"), "MemTotal:"),
        memory_available: meminfo(&lines("memory"), "MemAvailable:"),
        disk_free: number("disk-free")? as u64,
        block_devices: devices(&lines("block-devices")),
        clock: number("clock")?,
        addresses: lines("addresses")
            .iter()
            .filter_map(|l| address(l))
            .collect(),
        interfaces: lines("interfaces")
            .iter()
            .map(ToString::to_string)
            .collect(),
        listeners: lines("listeners")
            .iter()
            .filter_map(|l| listener(l))
            .collect(),
        systemd: first("systemd"),
        sudo: match first("sudo").as_str() {
            "root" => SudoState::Root,
            "passwordless" => SudoState::Passwordless,
            "missing" => SudoState::Missing,
            _ => SudoState::Refused,
        },
        engines: engines(&sections),
        packages: lines("packages")
            .iter()
            .filter_map(|line| line.split_once('|'))
            .map(|(name, state)| (name.to_owned(), package(state)))
            .collect(),
        docker: tools.iter().any(|tool| tool == "docker"),
        tools,
        zpools: lines("zpools").iter().map(ToString::to_string).collect(),
        volume_groups: lines("volume-groups")
            .iter()
            .map(ToString::to_string)
            .collect(),
        notes: lines("notes").iter().map(ToString::to_string).collect(),
    })
}

fn split(output: &str) -> Result<Sections<'_>, FactsError> {
    let mut sections = Sections::new();
    let mut current = "";
    for line in output.lines() {
        match line.strip_prefix('@') {
            Some(name) => {
                current = name;
                sections.entry(current).or_default();
            }
            None if line.trim().is_empty() => {}
            None => sections.entry(current).or_default().push(line),
        }
    }
    if current == "end" {
        Ok(sections)
    } else {
        Err(FactsError::CutOff {
            last: current.to_owned(),
        })
    }
}

fn parse_os(lines: &[&str]) -> Os {
    let value = |name: &str| {
        lines
            .iter()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    Os {
        id: value("ID"),
        version: value("VERSION_ID"),
        codename: value("VERSION_CODENAME"),
        pretty: value("PRETTY_NAME"),
    }
}

/// `/proc/meminfo` counts in units of 1024 bytes.
fn meminfo(lines: &[&str], name: &str) -> u64 {
    lines
        .iter()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// `lsblk -P`, a device a line: `PATH="/dev/sda" TYPE="disk" … PTTYPE="gpt"`. The table of a partition is that of
/// its disk.
fn devices(lines: &[&str]) -> Vec<BlockDevice> {
    let value = |line: &str, name: &str| {
        let start = format!(" {name}=\"");
        format!(" {line}")
            .split_once(start.as_str())
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    };
    let parents: Vec<String> = lines.iter().map(|line| value(line, "PKNAME")).collect();
    lines
        .iter()
        .map(|line| {
            let (path, kind) = (value(line, "PATH"), value(line, "TYPE"));
            let table = value(line, "PTTYPE");
            let name = path.rsplit('/').next().unwrap_or_default();
            let content = match value(line, "FSTYPE") {
                content if !content.is_empty() => content,
                _ if kind != "part" && !table.is_empty() => format!("{table} partition table"),
                // What the kernel sees, whether or not anybody looked for a table.
                _ if parents.iter().any(|parent| parent == name) => "other devices".to_owned(),
                nothing => nothing,
            };
            BlockDevice {
                size: value(line, "SIZE").parse().unwrap_or(0),
                mountpoint: value(line, "MOUNTPOINT"),
                path,
                kind,
                content,
            }
        })
        .collect()
}

/// `ip -o addr`: `2: eth0    inet 10.0.0.2/24 brd … scope global …`.
fn address(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (text, prefix) = words.get(3)?.split_once('/')?;
    let scope = words
        .iter()
        .position(|word| *word == "scope")
        .and_then(|at| words.get(at + 1))?;
    Some(Address {
        interface: (*words.get(1)?).to_owned(),
        address: text.parse::<IpAddr>().ok()?,
        prefix: prefix.parse().ok()?,
        scope: (*scope).to_owned(),
    })
}

/// `ss -Htln`: `LISTEN 0 128 0.0.0.0:22 0.0.0.0:*`.
fn listener(line: &str) -> Option<Listener> {
    let (address, port) = line.split_whitespace().nth(3)?.rsplit_once(':')?;
    Some(Listener {
        address: address.trim_matches(['[', ']']).to_owned(),
        port: port.parse().ok()?,
    })
}

fn engines(sections: &Sections<'_>) -> BTreeMap<Flavour, EngineFacts> {
    let lines = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    [Flavour::Lxd, Flavour::Incus]
        .into_iter()
        .map(|flavour| {
            let package = lines("packages")
                .iter()
                .find_map(|line| line.strip_prefix(&format!("{}|", flavour.as_str())))
                .map(package)
                .unwrap_or_default();
            let mut found = SOCKETS
                .iter()
                .filter(|(of, path)| *of == flavour && lines("sockets").contains(path));
            let facts = EngineFacts {
                package,
                snap: match flavour {
                    Flavour::Lxd => lines("snap")
                        .first()
                        .and_then(|line| line.split_whitespace().nth(1))
                        .map(str::to_owned),
                    Flavour::Incus => None,
                },
                socket: found.next().map(|(_, path)| (*path).to_owned()),
                has_state: lines("state")
                    .iter()
                    .any(|folder| folder.rsplit('/').next() == Some(flavour.as_str())),
            };
            (flavour, facts)
        })
        .collect()
}

/// `installed 5.0.2-5|5.0.2-5`; either part may be empty, the second also `(none)`.
fn package(text: &str) -> PackageState {
    let (installed, candidate) = text.split_once('|').unwrap_or((text, ""));
    PackageState {
        installed: installed.strip_prefix("installed ").map(str::to_owned),
        candidate: (!candidate.is_empty() && candidate != "(none)").then(|| candidate.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "@os\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n\
@uname\nx86_64\n6.1.0-18-amd64\n@hostname\nnode1\n@resolves\n10.9.8.11\n127.0.1.1\n@machine-id\nabc\n@cpus\n2\n\
@memory\nMemTotal:       2048 kB\nMemAvailable:   1024 kB\n@disk-free\n 123456\n\
@block-devices\nPATH=\"/dev/vda\" TYPE=\"disk\" SIZE=\"1000\" FSTYPE=\"\" MOUNTPOINT=\"\"\n\
@addresses\n1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n\
2: eth0    inet 10.9.8.11/24 metric 1024 brd 10.9.8.255 scope global dynamic eth0\\       valid_lft 3581sec\n\
2: eth0    inet6 fe80::1/64 scope link \\       valid_lft forever\n\
@interfaces\neth0\nlo\n@listeners\nLISTEN 0      128          0.0.0.0:22        0.0.0.0:*\nLISTEN 0 128 [::]:8443 [::]:*\n\
@systemd\nrunning\n@sudo\npasswordless\n@packages\nlxd|installed 5.0.2-5|5.0.2-5\nincus||\n@snap\n@sockets\n/var/lib/lxd/unix.socket\n\
@state\n/var/lib/lxd\n@tools\nmkfs.btrfs\n@zpools\n@volume-groups\n@notes\npackages\n@clock\n1763773000.250000000\n@end\n";

    #[test]
    fn a_machine_is_read() {
        let facts = parse_facts(BOOKWORM).unwrap();
        assert_eq!(facts.os.codename, "bookworm");
        assert_eq!((facts.cpus, facts.memory_total), (2, 2048 * 1024));
        assert!(facts.listens_on(22) && facts.listens_on(8443) && !facts.listens_on(80));
        let reachable: Vec<_> = facts.reachable_addresses().map(|a| a.address).collect();
        assert_eq!(reachable, ["10.9.8.11".parse::<IpAddr>().unwrap()]);
        let lxd = &facts.engines[&Flavour::Lxd];
        assert_eq!(lxd.package.installed.as_deref(), Some("5.0.2-5"));
        assert_eq!(lxd.socket.as_deref(), Some("/var/lib/lxd/unix.socket"));
        assert!(lxd.has_state);
        let incus = &facts.engines[&Flavour::Incus];
        assert!(!incus.is_installed() && incus.package.candidate.is_none() && !incus.has_state);
        assert_eq!(facts.sudo, SudoState::Passwordless);
        assert!(facts.engine_is_ours());
        assert!((facts.clock - 1_763_773_000.25).abs() < 1e-3);
    }

    #[test]
    fn a_disk_with_partitions_is_not_an_empty_one() {
        // What lsblk 2.41 says of a machine that Debian's installer made, and of one whose tables nobody read.
        let facts = BOOKWORM.replace(
            "PATH=\"/dev/vda\" TYPE=\"disk\" SIZE=\"1000\" FSTYPE=\"\" MOUNTPOINT=\"\"\n",
            "PATH=\"/dev/vda\" TYPE=\"disk\" SIZE=\"9\" FSTYPE=\"\" MOUNTPOINT=\"\" PKNAME=\"\" PTTYPE=\"gpt\"\n\
             PATH=\"/dev/vda1\" TYPE=\"part\" SIZE=\"1\" FSTYPE=\"\" MOUNTPOINT=\"\" PKNAME=\"vda\" PTTYPE=\"gpt\"\n\
             PATH=\"/dev/vda2\" TYPE=\"part\" SIZE=\"8\" FSTYPE=\"btrfs\" MOUNTPOINT=\"/\" PKNAME=\"vda\" PTTYPE=\"gpt\"\n\
             PATH=\"/dev/vdb\" TYPE=\"disk\" SIZE=\"9\" FSTYPE=\"\" MOUNTPOINT=\"\" PKNAME=\"\" PTTYPE=\"\"\n\
             PATH=\"/dev/vdc\" TYPE=\"disk\" SIZE=\"9\" FSTYPE=\"\" MOUNTPOINT=\"\" PKNAME=\"\" PTTYPE=\"\"\n\
             PATH=\"/dev/vdc1\" TYPE=\"part\" SIZE=\"9\" FSTYPE=\"\" MOUNTPOINT=\"\" PKNAME=\"vdc\" PTTYPE=\"\"\n",
        );
        let facts = parse_facts(&facts).unwrap();
        let content: Vec<_> = facts
            .block_devices
            .iter()
            .map(|device| (device.path.as_str(), device.content.as_str()))
            .collect();
        let expected = [
            ("/dev/vda", "gpt partition table"),
            ("/dev/vda1", ""),
            ("/dev/vda2", "btrfs"),
            ("/dev/vdb", ""),
            ("/dev/vdc", "other devices"),
            ("/dev/vdc1", ""),
        ];
        assert_eq!(content, expected);
    }

    #[test]
    fn a_shell_that_stops_is_noticed() {
        let cut = BOOKWORM.split("@sudo").next().unwrap();
        assert_eq!(
            parse_facts(cut),
            Err(FactsError::CutOff {
                last: "systemd".to_owned()
            })
        );
        assert!(matches!(
            parse_facts("@end\n"),
            Err(FactsError::Section {
                section: "cpus",
                ..
            })
        ));
    }

    #[test]
    fn this_machine_can_be_read() {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(FACTS_SCRIPT)
            .output()
            .unwrap();
        let facts = parse_facts(&String::from_utf8_lossy(&output.stdout)).unwrap();
        assert!(facts.cpus > 0 && facts.memory_total > 0 && facts.clock > 1e9);
    }
}
