//! Answers for Debian's installer: a file for "preseeding".
//!
//! Questions and values are from the "Debian GNU/Linux Installation Guide", appendix B, and from the templates
//! of the installer's own packages. A line ends with the answer, and `\` before the end joins the next to it.

use super::{
    Afterwards, Disk, Fixed, InstallError, Installation, Interface, Media, MediaFile, Root, Way,
    finish,
};
use crate::{initrd, seed};

/// The label of the volume, by which GRUB finds it.
const LABEL: &str = "PRESEED";

/// What the installer looks for at the root of its initial RAM file system.
const FILE: &str = "preseed.cfg";

pub(super) fn media(install: &Installation) -> Result<Media, InstallError> {
    let answers = preseed(install).into_bytes();
    let overlay = initrd::overlay(&[(FILE, 0o600, &answers)]).map_err(InstallError::Overlay)?;
    let seed = seed::volume(LABEL, &[(FILE, &answers), ("preseed.gz", &overlay)])?;
    let mut parameters = vec!["auto=true".to_owned(), "priority=critical".to_owned()];
    if let Some(Interface::Mac(mac)) = &install.network.interface {
        // As a boot loader that came over the network says it; 01 is Ethernet.
        parameters.push(format!("BOOTIF=01-{}", mac.joined("-")));
    }
    let mut over_network = parameters.clone();
    over_network.push(format!("url=http://SERVER/{FILE}"));
    over_network.extend(early(install));
    let parameters = parameters.join(" ");
    Ok(Media {
        files: vec![
            MediaFile::new(FILE, "the answers", answers),
            MediaFile::new(
                "preseed.gz",
                "the answers as a second initial RAM file system",
                overlay,
            ),
            MediaFile::new("seed.img", "a volume PRESEED with both", seed),
        ],
        ways: vec![
            Way::new(
                "from Debian's medium, where its menu is GRUB's (with UEFI it is)",
                [
                    "write seed.img to a USB stick, or attach it as a disk, and start the machine with both"
                        .to_owned(),
                    "press e on Install in the medium's menu".to_owned(),
                    format!("write a first line: search --no-floppy --set=seed --label {LABEL}"),
                    format!("write {parameters} before --- on the line that begins with linux"),
                    "write ($seed)/preseed.gz at the end of the line that begins with initrd".to_owned(),
                    "press Ctrl-X".to_owned(),
                ],
            ),
            Way::new(
                "from the installer's kernel and initrd.gz, by PXE, iPXE or a virtual machine's settings",
                [
                    "load preseed.gz as a second initrd, or one made by: cat initrd.gz preseed.gz"
                        .to_owned(),
                    format!("start the kernel with: {parameters}"),
                ],
            ),
            Way::new(
                "over the network",
                [
                    format!("serve {FILE} by HTTP"),
                    format!("start the installer with: {}", over_network.join(" ")),
                ],
            ),
        ],
        kernel_parameters: parameters,
    })
}

/// What has to be known before answers can be fetched from the network.
fn early(install: &Installation) -> Vec<String> {
    let mut early = Vec::new();
    if let Some(Interface::Name(name)) = &install.network.interface {
        early.push(format!("interface={name}"));
    }
    if let Some(fixed) = &install.network.fixed {
        early.extend(own_address(fixed).into_iter().map(|(question, _, value)| {
            match value.contains(' ') {
                true => format!("{question}=\"{value}\""),
                false => format!("{question}={value}"),
            }
        }));
    }
    early
}

/// Question, type and answer.
type Answer = (&'static str, &'static str, String);

fn own_address(fixed: &Fixed) -> Vec<Answer> {
    let dns: Vec<String> = fixed.dns().iter().map(ToString::to_string).collect();
    vec![
        ("netcfg/disable_autoconfig", "boolean", "true".to_owned()),
        // With the length of its prefix, the netmask is not asked for.
        (
            "netcfg/get_ipaddress",
            "string",
            fixed.address().to_string(),
        ),
        ("netcfg/get_gateway", "string", fixed.gateway().to_string()),
        ("netcfg/get_nameservers", "string", dns.join(" ")),
        ("netcfg/confirm_static", "boolean", "true".to_owned()),
    ]
}

fn preseed(install: &Installation) -> String {
    let mut out = format!(
        "# Answers for Debian's installer: {}. It erases {}.\n",
        install.hostname, install.disk
    );
    let mut section = |title: &str, answers: Vec<Answer>| {
        out.push_str(&format!("\n# {title}\n"));
        for (question, kind, value) in answers {
            // These are programs of the installed system.
            let owner = ["tasksel", "popularity-contest"]
                .into_iter()
                .find(|owner| question.starts_with(owner))
                .unwrap_or("d-i");
            let line = format!("{owner} {question} {kind} {value}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
    };
    let yes = |question| (question, "boolean", "true".to_owned());
    let no = |question| (question, "boolean", "false".to_owned());
    let text = |question, value: &dyn ToString| (question, "string", value.to_string());
    let select = |question, value: &dyn ToString| (question, "select", value.to_string());

    section(
        "Language and time",
        vec![
            select("debconf/priority", &"critical"),
            text("debian-installer/locale", &install.locale),
            select("keyboard-configuration/xkb-keymap", &install.keyboard),
            yes("clock-setup/utc"),
            yes("clock-setup/ntp"),
            text("time/zone", &install.timezone),
        ],
    );
    let interface = match &install.network.interface {
        Some(Interface::Name(name)) => name.to_string(),
        _ => "auto".to_owned(),
    };
    let mut network = vec![
        select("netcfg/choose_interface", &interface),
        // The first is what DHCP does not change, the second what is asked.
        text("netcfg/hostname", &install.hostname),
        text("netcfg/get_hostname", &install.hostname),
        text("netcfg/get_domain", &""),
        yes("hw-detect/load_firmware"),
    ];
    network.extend(install.network.fixed.iter().flat_map(own_address));
    section("Network", network);
    section("Packages", packages(install));
    section(
        "Users",
        vec![
            no("passwd/root-login"),
            yes("passwd/make-user"),
            text("passwd/user-fullname", &""),
            text("passwd/username", &install.user),
            (
                "passwd/user-password-crypted",
                "password",
                install.shadow().to_owned(),
            ),
        ],
    );
    let mut disk = vec![
        // A path that is no disk stays where the command finds none.
        text("partman-auto/disk", &"/dev/none"),
        text("partman/early_command", &disk_command(&install.disk)),
        text("partman-auto/method", &"regular"),
        select("partman-auto/choose_recipe", &"atomic"),
        text(
            "partman/default_filesystem",
            &match install.root {
                Root::Ext4 => "ext4",
                Root::Btrfs => "btrfs",
            },
        ),
        select("partman-partitioning/choose_label", &"gpt"),
        text("partman-partitioning/default_label", &"gpt"),
        select("partman/choose_partition", &"finish"),
    ];
    disk.extend(CONFIRMED.map(yes));
    section("Disk: all that is on it is erased", disk);
    section(
        "Boot loader",
        vec![
            yes("grub-installer/only_debian"),
            yes("grub-installer/with_other_os"),
            // For firmware that forgets what it is told to start.
            yes("grub-installer/force-efi-extra-removable"),
        ],
    );
    let commands = [finish::keys(install), finish::commands(install)].concat();
    let commands = commands.join("; \\\n  ");
    let late = format!("in-target sh -ec ' \\\n  {commands}'");
    let mut end = vec![
        text("preseed/late_command", &late),
        yes("cdrom-detect/eject"),
        ("finish-install/reboot_in_progress", "note", String::new()),
    ];
    if install.afterwards == Afterwards::PowerOff {
        end.push(yes("debian-installer/exit/poweroff"));
    }
    section("The end", end);
    out
}

/// What would be asked before a disk is erased.
const CONFIRMED: [&str; 9] = [
    "partman-lvm/device_remove_lvm",
    "partman-lvm/device_remove_lvm_span",
    "partman-md/device_remove_md",
    "partman-lvm/confirm",
    "partman-lvm/confirm_nooverwrite",
    "partman-partitioning/confirm_write_new_label",
    "partman/confirm",
    "partman/confirm_nooverwrite",
    "partman-efi/non_efi_system",
];

fn packages(install: &Installation) -> Vec<Answer> {
    let text = |question, value: String| (question, "string", value);
    let mut answers = Vec::new();
    let mut proxy = "mirror/http/proxy";
    if let Some(mirror) = &install.mirror {
        let (host, path) = match mirror.scheme() {
            "https" => {
                proxy = "mirror/https/proxy";
                ("mirror/https/hostname", "mirror/https/directory")
            }
            _ => ("mirror/http/hostname", "mirror/http/directory"),
        };
        answers.extend([
            ("mirror/protocol", "select", mirror.scheme().to_owned()),
            text("mirror/country", "manual".to_owned()),
            text(host, mirror.host()),
            text(path, mirror.path().to_owned()),
        ]);
    }
    let through = install.proxy.as_ref().map(ToString::to_string);
    answers.extend([
        text(proxy, through.unwrap_or_default()),
        (
            "apt-setup/services-select",
            "multiselect",
            "security, updates".to_owned(),
        ),
        (
            "apt-setup/disable-cdrom-entries",
            "boolean",
            "true".to_owned(),
        ),
        ("apt-setup/cdrom/set-first", "boolean", "false".to_owned()),
        ("tasksel/first", "multiselect", String::new()),
        text("pkgsel/include", PACKAGES.to_owned()),
        ("pkgsel/upgrade", "select", "safe-upgrade".to_owned()),
        ("pkgsel/update-policy", "select", "none".to_owned()),
        (
            "popularity-contest/participate",
            "boolean",
            "false".to_owned(),
        ),
    ]);
    answers
}

/// What the system has beyond Debian's base.
const PACKAGES: &str = "openssh-server sudo ca-certificates systemd-timesyncd";

/// Disks with less than these sectors of 512 bytes, 2 GB, hold no system; a seed volume is one.
const SMALLEST: u64 = 4_000_000;

/// Finds the disk, and says it to partitioner and boot loader; where there is none or more than one, it
/// fails, and the installer shows that and waits.
fn disk_command(disk: &Disk) -> String {
    let each = |inner: &str| {
        format!(
            "for d in $(list-devices disk); do \\\n    s=/sys/block/${{d##*/}}; \\\n    \
             [ -e $s/size ] || continue; \\\n{inner}  done; \\\n"
        )
    };
    let by_size = |than: &str| {
        each(&format!(
            "    [ \"$(cat $s/removable)\" = 0 ] || continue; \\\n    \
             case $(readlink -f $s) in */usb*) continue;; esac; \\\n    \
             n=$(cat $s/size); \\\n    [ $n -gt {SMALLEST} ] || continue; \\\n    \
             if [ -z \"$disk\" ] || [ $n {than} $size ]; then disk=$d; size=$n; fi; \\\n"
        ))
    };
    let find = match disk {
        Disk::Largest => by_size("-gt"),
        Disk::Smallest => by_size("-lt"),
        Disk::Path(path) => format!("disk=$(readlink -f {}); \\\n", path.as_str()),
        Disk::Serial(serial) => each(&format!(
            "    for n in $(udevadm info -q property -n $d | sed -n \"s/^ID_SERIAL[A-Z_]*=//p\"); do \\\n      \
             case $n in *{}) ;; *) continue;; esac; \\\n      \
             [ -z \"$disk\" ] || [ \"$disk\" = $d ] || exit 1; \\\n      disk=$d; \\\n    done; \\\n",
            serial.as_str()
        )),
    };
    format!(
        "\\\n  disk=; \\\n  {find}  [ -b \"$disk\" ] || exit 1; \\\n  \
         debconf-set partman-auto/disk $disk; \\\n  debconf-set grub-installer/bootdev $disk"
    )
}
