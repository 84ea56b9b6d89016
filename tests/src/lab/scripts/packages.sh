#!/bin/sh
# Reads the lists of packages into the tree of an image, and installs packages there.
# Run by `unshare --mount`, with which its mounts end.
# $1: the tree   the rest: packages
set -eu
root=$1
shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
# Nothing is started in a tree.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get -q update
if [ $# -gt 0 ]; then
    chroot "$root" apt-get -q -y install --no-install-recommends "$@"
fi
# What apt makes of the lists at its first use, seconds each time.
chroot "$root" apt-cache gencaches

rm "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
rm -f "$root"/var/cache/apt/archives/*.deb "$root"/var/log/*.log
