# Arguments: the working folder, release, mirror, keyring, then packages. Runs in namespaces of its own. Makes
# the tree of an image in the folder's "root".
set -eu
work=$1
release=$2
site=$3
keyring=$4
shift 4
root=$work/root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
mount --make-rprivate /
mount -t proc proc /proc

say() { printf 'progress\t%s\n' "$1"; }
quiet() { "$@" >"$work/log" 2>&1 </dev/null; }
inside() { quiet chroot "$root" "$@"; }
install() {
    inside apt-get -q -y -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install "$@"
}

say "fetching $release from $site"
# udev: where an instance may write to /sys, as those without privileges may, networkd waits for it.
quiet debootstrap --variant=minbase --force-check-gpg --keyring="$keyring" \
    --include=systemd,systemd-sysv,udev,dbus,iproute2,ca-certificates "$release" "$root" "$site"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# No service starts here.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$work/sources.list" "$root/etc/apt/sources.list"
cp "$work/apt.conf" "$root/etc/apt/apt.conf.d/90build"
say 'bringing it up to date'
inside apt-get -q update
inside apt-get -q -y -o Dpkg::Options::=--force-unsafe-io dist-upgrade
# Older releases have it as a part of systemd.
if inside apt-get -s install systemd-resolved; then install systemd-resolved; fi
# That leads to a service which does not run here.
rm -f "$root/etc/resolv.conf"
cat /etc/resolv.conf >"$root/etc/resolv.conf"
chroot "$root" dpkg-query -W -f '${Package}\n' | sort >"$work/before"
: >"$work/versions"
if [ $# -gt 0 ]; then
    say "installing $*"
    install "$@"
    # Whoever makes an instance of this enables what it is to do.
    chroot "$root" dpkg-query -W -f '${Package}\n' | sort | comm -13 "$work/before" - |
        xargs -r chroot "$root" dpkg-query -L | sed -n 's|.*/systemd/system/\([^/@]*\.[a-z]*\)$|\1|p' | sort -u |
        while read -r unit; do
            case $unit in
            *.service | *.socket | *.timer | *.path) inside systemctl disable "$unit" ;;
            esac
        done
    chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' "$@" | paste -sd , >"$work/versions"
fi

say 'setting it up'
cat >"$root/etc/systemd/network/10-eth0.network" <<'END'
[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
ClientIdentifier=mac
END
mkdir -p "$root/etc/systemd/resolved.conf.d"
printf '[Resolve]\nLLMNR=no\nMulticastDNS=no\n' >"$root/etc/systemd/resolved.conf.d/quiet.conf"
inside systemctl enable systemd-networkd.service systemd-resolved.service
# An instance is replaced, not brought up to date.
inside systemctl disable apt-daily.timer apt-daily-upgrade.timer
# The kernel's table of binary formats belongs to the host.
inside systemctl mask systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
# What belongs to one machine, and what was there for building.
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/apt.conf.d/90build" "$root/etc/hostname" \
    "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: >"$root/etc/machine-id"
inside apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/ldconfig/*
umount "$root/proc"
# debootstrap leaves it mounted on some machines.
! mountpoint -q "$root/sys" || umount "$root/sys"
