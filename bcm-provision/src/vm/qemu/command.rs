//! QEMU's command lines, as functions of values.
//!
//! Paths are relative to the fleet's folder, in which QEMU is started: those of unix sockets have at
//! most 107 bytes (unix(7)), and a comma in one would end an option.

use std::fmt::Write;

use super::Accel;
use crate::vm::fleet::{MOST, Node};
use crate::vm::image::{Format, LABEL};

/// What a machine's QEMU may not do: nothing of it is needed after its start.
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// A machine as it is started.
#[derive(Debug, Clone)]
pub struct QemuMachine<'a> {
    /// Which.
    pub node: &'a Node,
    /// The port of loopback that leads to its sshd.
    pub port: u16,
    /// How its processors are made.
    pub accel: Accel,
    /// Whether this QEMU can give up what it does not need.
    pub sandbox: bool,
}

impl QemuMachine<'_> {
    /// The arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let node = self.node;
        let folder = node.folder();
        let mut line = Line::new(&node.host, &node.uuid, self.sandbox);
        line.add("-machine", "q35");
        match self.accel {
            Accel::Kvm => line.add("-accel", "kvm").add("-cpu", "host"),
            // Five levels of page tables cost a third of the speed, and buy nothing.
            Accel::Tcg => line
                .add("-accel", "tcg,thread=multi")
                .add("-cpu", "max,la57=off"),
        };
        line.add("-smp", &node.resources.cpus.to_string())
            .add("-m", &format!("{}M", node.resources.memory >> 20));
        let boot = node.boot.unwrap_or(crate::vm::image::Boot {
            format: Format::Raw,
            kernel: false,
        });
        if boot.kernel {
            let mut append = format!("root=LABEL={LABEL} ro console=ttyS0");
            if self.accel == Accel::Tcg {
                // There is nothing to mitigate in a processor that is made of code.
                append.push_str(" mitigations=off");
            }
            line.add("-kernel", &format!("{folder}/vmlinuz"))
                .add("-initrd", &format!("{folder}/initrd"))
                .add("-append", &append);
        }
        line.drive("disk", &folder, boot.format, false)
            .drive("seed", &folder, Format::Raw, true)
            .add(
                "-netdev",
                &format!(
                    "user,id=nat,ipv6=off,hostfwd=tcp:127.0.0.1:{}-:22",
                    self.port
                ),
            )
            .nic("nat", &node.mac(0))
            .add(
                "-netdev",
                &wire(
                    "lan",
                    &format!("{folder}/lan.sock"),
                    &switch_port(node.number),
                ),
            )
            .nic("lan", &node.mac(1))
            .add("-device", "virtio-rng-pci")
            .add(
                "-chardev",
                &format!("file,id=console,path={folder}/console.log,append=on"),
            )
            .add("-serial", "chardev:console")
            .add("-qmp", &qmp(&format!("{folder}/qmp.sock")))
            // Until it was told to go on, so that its disk can be made larger before.
            .flag("-S");
        line.0
    }
}

/// A QEMU without a processor, whose ports are repeaters of one Ethernet.
#[derive(Debug, Clone)]
pub struct QemuSwitch<'a> {
    /// The cluster's name, for people who look at processes.
    pub cluster: &'a str,
    /// Names it among processes.
    pub uuid: &'a str,
    /// As for machines.
    pub sandbox: bool,
}

impl QemuSwitch<'_> {
    /// The arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut line = Line::new(&format!("{}-switch", self.cluster), self.uuid, self.sandbox);
        line.add("-machine", "none");
        for port in 1..=MOST {
            let id = format!("port{port}");
            let machine = format!("node{port}/lan.sock");
            line.add("-netdev", &wire(&id, &switch_port(port), &machine))
                .add(
                    "-netdev",
                    &format!("hubport,id=hub{port},hubid=0,netdev={id}"),
                );
        }
        line.add("-qmp", &qmp("switch/qmp.sock"));
        line.0
    }
}

/// A command line that grows.
struct Line(Vec<String>);

impl Line {
    /// With what all have: nothing that was not asked for, no window, no monitor.
    fn new(name: &str, uuid: &str, sandbox: bool) -> Self {
        let mut line = Self(Vec::new());
        line.add("-name", name).add("-uuid", uuid);
        for flag in ["-nodefaults", "-no-user-config"] {
            line.flag(flag);
        }
        line.add("-display", "none");
        if sandbox {
            line.add("-sandbox", SANDBOX);
        }
        line
    }

    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.to_owned());
        self
    }

    fn add(&mut self, option: &str, value: &str) -> &mut Self {
        self.flag(option).flag(value)
    }

    fn drive(&mut self, name: &str, folder: &str, format: Format, readonly: bool) -> &mut Self {
        let mut value = format!(
            "if=virtio,id={name},file={folder}/{name},format={}",
            format.as_str()
        );
        let _ = match readonly {
            true => write!(value, ",readonly=on"),
            false => write!(value, ",discard=unmap"),
        };
        self.add("-drive", &value)
    }

    fn nic(&mut self, netdev: &str, mac: &str) -> &mut Self {
        self.add(
            "-device",
            &format!("virtio-net-pci,netdev={netdev},mac={mac},romfile="),
        )
    }
}

/// Ethernet over a pair of unix sockets.
fn wire(id: &str, local: &str, remote: &str) -> String {
    format!(
        "dgram,id={id},local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"
    )
}

fn switch_port(number: u8) -> String {
    format!("switch/{number}.sock")
}

fn qmp(path: &str) -> String {
    format!("unix:{path},server=on,wait=off")
}

/// What is needed to see a kernel start: its first words, and its end, since it has no root file
/// system.
#[must_use]
pub(crate) fn probe_kernel(kernel: &str) -> Vec<String> {
    let words = [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "256",
        "-no-reboot",
        "-serial",
        "stdio",
        "-append",
        "console=ttyS0 earlyprintk=serial panic=-1",
        "-kernel",
        kernel,
    ];
    words.map(str::to_owned).to_vec()
}

/// The same for a disk with a boot loader, which is not written to.
#[must_use]
pub(crate) fn probe_disk(disk: &str, format: Format) -> Vec<String> {
    let disk = disk.replace(',', ",,");
    let drive = format!("if=virtio,file={disk},format={}", format.as_str());
    let mut words = probe_kernel("");
    // Without -append, -kernel and their values.
    words.truncate(words.len() - 4);
    words.extend(["-snapshot", "-drive", &drive].map(str::to_owned));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::fleet::{Resources, host_of};
    use crate::vm::image::Boot;

    fn node(kernel: bool) -> Node {
        Node {
            number: 2,
            host: host_of("home", 2),
            resources: Resources::default(),
            uuid: "u-u".to_owned(),
            boot: Some(Boot {
                format: if kernel { Format::Raw } else { Format::Qcow2 },
                kernel,
            }),
            at: (std::net::Ipv4Addr::LOCALHOST.into(), 4000),
        }
    }

    fn machine(kernel: bool, accel: Accel) -> String {
        let node = node(kernel);
        let machine = QemuMachine {
            node: &node,
            port: 4001,
            accel,
            sandbox: true,
        };
        machine.arguments().join(" ")
    }

    #[test]
    fn nothing_listens_but_ssh_on_loopback() {
        for line in [machine(true, Accel::Tcg), machine(false, Accel::Kvm)] {
            assert!(line.contains("hostfwd=tcp:127.0.0.1:4001-:22"), "{line}");
            assert_eq!(line.matches("hostfwd").count(), 1, "{line}");
            for word in ["-display none", "-nodefaults", "-sandbox on,", "-uuid u-u"] {
                assert!(line.contains(word), "{word}: {line}");
            }
            for word in ["-vnc", "-monitor", "-spice", "-gdb", "qmp tcp"] {
                assert!(!line.contains(word), "{word}: {line}");
            }
        }
    }

    #[test]
    fn a_kernel_is_started_where_the_image_has_no_boot_loader() {
        let built = machine(true, Accel::Tcg);
        assert!(
            built.contains("-kernel node2/vmlinuz -initrd node2/initrd"),
            "{built}"
        );
        assert!(built.contains("mitigations=off"), "{built}");
        let given = machine(false, Accel::Kvm);
        assert!(!given.contains("-kernel"), "{given}");
        assert!(given.contains("file=node2/disk,format=qcow2"), "{given}");
        assert!(given.contains("-accel kvm -cpu host"), "{given}");
    }

    #[test]
    fn wires_have_the_same_ends_at_both_sides() {
        let switch = QemuSwitch {
            cluster: "home",
            uuid: "s",
            sandbox: false,
        };
        let switch = switch.arguments().join(" ");
        assert!(
            switch.contains("local.path=switch/2.sock,remote.type=unix,remote.path=node2/lan.sock"),
            "{switch}"
        );
        assert!(
            machine(true, Accel::Tcg)
                .contains("local.path=node2/lan.sock,remote.type=unix,remote.path=switch/2.sock")
        );
        assert!(!switch.contains("-sandbox"), "{switch}");
    }

    #[test]
    fn a_probe_starts_what_is_going_to_be_started() {
        let kernel = probe_kernel("/k").join(" ");
        assert!(kernel.ends_with("panic=-1 -kernel /k"), "{kernel}");
        let disk = probe_disk("/a,b", Format::Qcow2).join(" ");
        assert!(
            disk.ends_with("-serial stdio -snapshot -drive if=virtio,file=/a,,b,format=qcow2"),
            "{disk}"
        );
    }
}
