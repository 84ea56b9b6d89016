//! `bcm host autoinstall`: what is written, and what is refused.

use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home\n";

const HASH: &str = "$6$ylrH9V9Miw8KvtqP$SBQitw9IsY0V5zcfPOSaV2dlcpHYPTPOGHgOIyeJ99tHInd1P78GB8n2QolQ72srOCEVZFnZ/gH0kkwsuhh/0.\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("key.pub", KEY);
    sandbox
}

/// With a key and a name.
fn run(sandbox: &Sandbox, more: &str) -> String {
    sandbox.run(&format!(
        "host autoinstall --hostname node1 --key key.pub {more}"
    ))
}

#[test]
fn for_ubuntu_a_volume_for_cloud_init_is_written() {
    insta::assert_snapshot!(run(&sandbox(), "--system ubuntu --out new"), @r#"
exit code: 0
--- stdout
user-data  created  the answers
meta-data  created  the machine's name, for cloud-init
seed.img   created  a volume CIDATA with both

A machine that is started with these answers loses all that is on the largest disk.

from Ubuntu Server's medium:
  - write seed.img to a USB stick, or attach it as a disk, and start the machine with both
  - press e in the medium's menu
  - write autoinstall before --- on the line that begins with linux; without it, the installer asks before it erases the disk
  - press Ctrl-X

over the network:
  - serve user-data and meta-data by HTTP
  - start the installer with: autoinstall "ds=nocloud-net;s=http://SERVER/FOLDER/"

bcm logs in over SSH by key only; there is no password, so the console takes no login.
when it is there: bcm host check bcm@node1
--- stderr
    "#);
}

#[test]
fn for_debian_a_volume_and_a_second_initrd_are_written() {
    let more = "--system debian --interface 52:54:00:12:34:56 --address 192.0.2.5/24 --gateway 192.0.2.1 \
        --dns 192.0.2.2 --disk serial=A1 --user op --out new";
    insta::assert_snapshot!(run(&sandbox(), more), @r#"
exit code: 0
--- stdout
preseed.cfg  created  the answers
preseed.gz   created  the answers as a second initial RAM file system
seed.img     created  a volume PRESEED with both

A machine that is started with these answers loses all that is on the disk whose serial number ends in A1.

from Debian's medium, where its menu is GRUB's (with UEFI it is):
  - write seed.img to a USB stick, or attach it as a disk, and start the machine with both
  - press e on Install in the medium's menu
  - write a first line: search --no-floppy --set=seed --label PRESEED
  - write auto=true priority=critical BOOTIF=01-52-54-00-12-34-56 before --- on the line that begins with linux
  - write ($seed)/preseed.gz at the end of the line that begins with initrd
  - press Ctrl-X

from the installer's kernel and initrd.gz, by PXE, iPXE or a virtual machine's settings:
  - load preseed.gz as a second initrd, or one made by: cat initrd.gz preseed.gz
  - start the kernel with: auto=true priority=critical BOOTIF=01-52-54-00-12-34-56

over the network:
  - serve preseed.cfg by HTTP
  - start the installer with: auto=true priority=critical BOOTIF=01-52-54-00-12-34-56 url=http://SERVER/preseed.cfg netcfg/disable_autoconfig=true netcfg/get_ipaddress=192.0.2.5/24 netcfg/get_gateway=192.0.2.1 netcfg/get_nameservers=192.0.2.2 netcfg/confirm_static=true

op logs in over SSH by key only; there is no password, so the console takes no login.
when it is there: bcm host check op@192.0.2.5
--- stderr
    "#);
}

#[test]
fn the_answers_for_ubuntu() {
    insta::assert_snapshot!(run(&sandbox(), "--system ubuntu --root btrfs --print"), @r#"
exit code: 0
--- stdout
#cloud-config
autoinstall:
  version: 1
  locale: "en_US.UTF-8"
  keyboard:
    layout: "us"
  timezone: "Etc/UTC"
  storage:
    swap:
      size: 0
    config:
      - type: "disk"
        id: "disk"
        match:
          size: "largest"
        ptable: "gpt"
        wipe: "superblock-recursive"
        preserve: false
        grub_device: false
      - type: "partition"
        id: "loader"
        device: "disk"
        number: 1
        size: "1G"
        wipe: "superblock"
        preserve: false
        flag: "boot"
        grub_device: true
      - type: "partition"
        id: "system"
        device: "disk"
        number: 2
        size: -1
        wipe: "superblock"
        preserve: false
      - type: "format"
        id: "root"
        fstype: "btrfs"
        volume: "system"
        preserve: false
      - type: "mount"
        id: "root-mount"
        path: "/"
        device: "root"
      - type: "format"
        id: "efi"
        fstype: "fat32"
        volume: "loader"
        preserve: false
      - type: "mount"
        id: "efi-mount"
        path: "/boot/efi"
        device: "efi"
  identity:
    hostname: "node1"
    username: "bcm"
    password: "!"
  ssh:
    install-server: true
    allow-pw: false
    authorized-keys:
      - "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home"
  updates: "security"
  late-commands:
    - - "curtin"
      - "in-target"
      - "--target=/target"
      - "--"
      - "sh"
      - "-ec"
      - "echo \"bcm ALL=(ALL:ALL) NOPASSWD: ALL\" >/etc/sudoers.d/90-bcm-install; chmod 440 /etc/sudoers.d/90-bcm-install; visudo -cq; mkdir -p /etc/ssh/sshd_config.d /run/sshd; echo \"PasswordAuthentication no\" >/etc/ssh/sshd_config.d/10-bcm-install.conf; echo \"KbdInteractiveAuthentication no\" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; echo \"PermitRootLogin prohibit-password\" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; echo \"X11Forwarding no\" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; [ ! -e /etc/ssh/ssh_host_ed25519_key ] || sshd -t"
  shutdown: "reboot"
--- stderr
    "#);
}

#[test]
fn the_answers_for_debian() {
    let more =
        "--system debian --mirror http://mirror.example/debian --afterwards poweroff --print";
    insta::assert_snapshot!(run(&sandbox(), more), @r#"
exit code: 0
--- stdout
# Answers for Debian's installer: node1. It erases the largest disk.

# Language and time
d-i debconf/priority select critical
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i clock-setup/utc boolean true
d-i clock-setup/ntp boolean true
d-i time/zone string Etc/UTC

# Network
d-i netcfg/choose_interface select auto
d-i netcfg/hostname string node1
d-i netcfg/get_hostname string node1
d-i netcfg/get_domain string
d-i hw-detect/load_firmware boolean true

# Packages
d-i mirror/protocol select http
d-i mirror/country string manual
d-i mirror/http/hostname string mirror.example
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i apt-setup/services-select multiselect security, updates
d-i apt-setup/disable-cdrom-entries boolean true
d-i apt-setup/cdrom/set-first boolean false
tasksel tasksel/first multiselect
d-i pkgsel/include string openssh-server sudo ca-certificates systemd-timesyncd
d-i pkgsel/upgrade select safe-upgrade
d-i pkgsel/update-policy select none
popularity-contest popularity-contest/participate boolean false

# Users
d-i passwd/root-login boolean false
d-i passwd/make-user boolean true
d-i passwd/user-fullname string
d-i passwd/username string bcm
d-i passwd/user-password-crypted password !

# Disk: all that is on it is erased
d-i partman-auto/disk string /dev/none
d-i partman/early_command string \
  disk=; \
  for d in $(list-devices disk); do \
    s=/sys/block/${d##*/}; \
    [ -e $s/size ] || continue; \
    [ "$(cat $s/removable)" = 0 ] || continue; \
    case $(readlink -f $s) in */usb*) continue;; esac; \
    n=$(cat $s/size); \
    [ $n -gt 4000000 ] || continue; \
    if [ -z "$disk" ] || [ $n -gt $size ]; then disk=$d; size=$n; fi; \
  done; \
  [ -b "$disk" ] || exit 1; \
  debconf-set partman-auto/disk $disk; \
  debconf-set grub-installer/bootdev $disk
d-i partman-auto/method string regular
d-i partman-auto/choose_recipe select atomic
d-i partman/default_filesystem string ext4
d-i partman-partitioning/choose_label select gpt
d-i partman-partitioning/default_label string gpt
d-i partman/choose_partition select finish
d-i partman-lvm/device_remove_lvm boolean true
d-i partman-lvm/device_remove_lvm_span boolean true
d-i partman-md/device_remove_md boolean true
d-i partman-lvm/confirm boolean true
d-i partman-lvm/confirm_nooverwrite boolean true
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i partman-efi/non_efi_system boolean true

# Boot loader
d-i grub-installer/only_debian boolean true
d-i grub-installer/with_other_os boolean true
d-i grub-installer/force-efi-extra-removable boolean true

# The end
d-i preseed/late_command string in-target sh -ec ' \
  install -d -m 700 -o bcm -g bcm /home/bcm/.ssh; \
  install -m 600 -o bcm -g bcm /dev/null /home/bcm/.ssh/authorized_keys; \
  echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home" >>/home/bcm/.ssh/authorized_keys; \
  echo "bcm ALL=(ALL:ALL) NOPASSWD: ALL" >/etc/sudoers.d/90-bcm-install; \
  chmod 440 /etc/sudoers.d/90-bcm-install; \
  visudo -cq; \
  mkdir -p /etc/ssh/sshd_config.d /run/sshd; \
  echo "PasswordAuthentication no" >/etc/ssh/sshd_config.d/10-bcm-install.conf; \
  echo "KbdInteractiveAuthentication no" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; \
  echo "PermitRootLogin prohibit-password" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; \
  echo "X11Forwarding no" >>/etc/ssh/sshd_config.d/10-bcm-install.conf; \
  [ ! -e /etc/ssh/ssh_host_ed25519_key ] || sshd -t'
d-i cdrom-detect/eject boolean true
d-i finish-install/reboot_in_progress note
d-i debian-installer/exit/poweroff boolean true
--- stderr
    "#);
}

#[test]
fn a_hash_comes_from_a_file_or_stdin_and_is_kept_from_others() {
    let sandbox = sandbox();
    sandbox.write("hash", HASH);
    let more = "--system debian --password-hash-file hash --out new --output json";
    let shown = run(&sandbox, more);
    assert!(shown.starts_with("exit code: 0\n"), "{shown}");
    assert!(shown.contains("\"console_login\": true"), "{shown}");
    assert!(!shown.contains("$6$"), "{shown}");
    assert!(sandbox.read("new/preseed.cfg").contains(HASH.trim()));
    for name in ["preseed.cfg", "preseed.gz", "seed.img"] {
        let file = std::fs::metadata(sandbox.path("new").join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let mut command = sandbox.command(
        "host autoinstall --system ubuntu --hostname node1 --key key.pub --password-hash-file - --print",
    );
    let output = command.write_stdin(HASH).output().unwrap();
    let shown = sandbox.shown(&output);
    assert!(
        shown.contains(&format!("password: \"{}\"", HASH.trim())),
        "{shown}"
    );
}

#[test]
fn what_is_no_hash_is_refused_and_not_repeated() {
    let sandbox = sandbox();
    for (name, content, said) in [
        ("clear", "hunter2\n", "it may be the password itself"),
        (
            "md5",
            "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0\n",
            "by MD5, which is guessed too fast",
        ),
        ("des", "ab01FAX.bQRSU\n", "by DES"),
        ("empty", "\n", "there is no hash"),
        ("two", "$6$a$b\n$6$a$b\n", "is not whole"),
    ] {
        sandbox.write(name, content);
        let more = format!("--system ubuntu --password-hash-file {name} --out new");
        let shown = run(&sandbox, &more);
        assert!(shown.starts_with("exit code: 2\n"), "{shown}");
        assert!(shown.contains(said), "{shown}");
        assert!(shown.contains("openssl passwd -6"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("$1$"),
            "{shown}"
        );
    }
    assert!(!sandbox.path("new").exists());
}

#[test]
fn wrong_wishes_are_usage() {
    let sandbox = sandbox();
    sandbox.write("secret", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let own = "--interface eth0 --dns 192.0.2.2 --address";
    for (more, said) in [
        ("--hostname Node_1 --key key.pub", "no name for a machine"),
        ("--hostname a.example.org --key key.pub", "has no domain"),
        ("--hostname a --key secret", "this is a private key"),
        ("--hostname a --key nothing", "nothing cannot be read"),
        ("--hostname a", "ssh-keygen -t ed25519"),
        ("--hostname a --key key.pub --disk sda", "is no disk"),
        ("--hostname a --key key.pub --disk /dev/sda'", "is no disk"),
        ("--hostname a --key key.pub --disk /dev/../x", "is no disk"),
        (
            "--hostname a --key key.pub --disk smallest",
            "seed volume itself",
        ),
        (
            "--hostname a --key key.pub --address 192.0.2.5/24",
            "--gateway",
        ),
        (
            "--hostname a --key key.pub --gateway 192.0.2.1",
            "--address",
        ),
        (
            &format!("--hostname a --key key.pub {own} 192.0.2.5/24 --gateway 198.51.100.1"),
            "198.51.100.1 is not in the network of 192.0.2.5/24",
        ),
        (
            &format!("--hostname a --key key.pub {own} 2001:db8::5/64 --gateway 192.0.2.1"),
            "not both IPv4 or both IPv6",
        ),
        (
            "--hostname a --key key.pub --mirror http://me:pw@x/",
            "has a password",
        ),
        (
            "--hostname a --key key.pub --user root",
            "no name for a user",
        ),
        (
            "--hostname a --key key.pub --timezone ../etc",
            "no time zone",
        ),
        (
            "--hostname a --key key.pub --locale de_DE@euro",
            "no locale",
        ),
    ] {
        let shown = sandbox.run(&format!(
            "host autoinstall --system ubuntu --out new {more}"
        ));
        assert!(shown.starts_with("exit code: 2\n"), "{more}: {shown}");
        assert!(shown.contains(said), "{more}: {shown}");
    }
    assert!(!sandbox.path("new").exists());
}

#[test]
fn files_that_are_there_are_kept_unless_they_are_to_be_replaced() {
    let sandbox = sandbox();
    sandbox.write("new/user-data", "mine");
    sandbox.write("new/notes", "mine");
    let shown = run(&sandbox, "--system ubuntu --out new --dry-run");
    assert!(shown.contains("nothing was written to new"), "{shown}");
    let shown = run(&sandbox, "--system ubuntu --out new");
    assert!(shown.starts_with("exit code: 1\n"), "{shown}");
    assert!(shown.contains("different: user-data"), "{shown}");
    assert!(shown.contains("--replace"), "{shown}");
    assert_eq!(sandbox.read("new/user-data"), "mine");
    assert!(!sandbox.path("new/seed.img").exists());
    let shown = run(&sandbox, "--system ubuntu --out new --replace");
    assert!(shown.contains("user-data  replaced"), "{shown}");
    assert_eq!(sandbox.read("new/notes"), "mine");
}
