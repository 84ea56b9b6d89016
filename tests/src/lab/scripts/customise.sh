#!/bin/sh
# Turns a fresh debootstrap tree into what a small Debian server looks like after its installation.
# $1: the tree
set -eu
root=$1

# As the installer leaves it: the network by DHCP, and IPv6 by router advertisement.
cat >"$root/etc/systemd/network/10-eth0.network" <<'END'
[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
ClientIdentifier=mac
END

# Every machine makes its own host keys when it first boots.
rm -f "$root"/etc/ssh/ssh_host_*
cat >"$root/etc/systemd/system/first-host-keys.service" <<'END'
[Unit]
Description=Make the SSH host keys of this machine
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=ssh.service
END
cat >"$root/etc/ssh/sshd_config.d/keys-only.conf" <<'END'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
# Many tests at once open many connections from one address.
MaxStartups 200:30:400
PerSourcePenalties no
END
# Older servers do not know this setting, and would not start.
chroot "$root" sh -c 'mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N "" -f /run/probe &&
    sshd -t -h /run/probe 2>/dev/null' ||
    sed -i '/^PerSourcePenalties/d' "$root/etc/ssh/sshd_config.d/keys-only.conf"
rm -rf "$root"/run/probe* "$root/run/sshd"

for user in bcm plain; do
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
    mkdir -p "$root/home/$user/.ssh"
    chroot "$root" chown "$user:$user" "/home/$user/.ssh"
    chmod 700 "$root/home/$user/.ssh"
done
echo 'bcm ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/bcm"
chmod 440 "$root/etc/sudoers.d/bcm"

chroot "$root" systemctl enable systemd-networkd.service ssh.service first-host-keys.service
# The kernel's table of binary formats belongs to the host.
chroot "$root" systemctl mask systemd-binfmt.service proc-sys-fs-binfmt_misc.automount

# Its disk is as durable as the laboratory: syncing each unpacked file is time for nothing.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/lab"

# debootstrap copies these from the host.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
rm -f "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*_* "$root"/var/log/*.log
