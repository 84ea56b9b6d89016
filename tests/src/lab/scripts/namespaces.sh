#!/bin/sh
# The first process of a lab's namespaces: mounts what a container manager needs, starts the outer
# LXD, and ends when it ends. Run by `unshare --mount --pid --net --uts --ipc --fork`.
# $1: the lab's folder   $2: the lab's name
set -eu
folder=$1
id=$2

if [ "${3-}" != inside ]; then
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    # A private /run: neither locks nor sockets are shared with the host's own container managers.
    mount -t tmpfs -o mode=755 tmpfs /run
    # The name server on the lab's bridge asks those that are reachable from here.
    resolv=$(readlink -m /etc/resolv.conf)
    mkdir -p "${resolv%/*}"
    [ -e "$resolv" ] || : >"$resolv"
    mount --bind "$folder/resolv.conf" "$resolv"
    # Version 2 alone, whatever the host mounts: containers inside containers need that.
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir -p "/sys/fs/cgroup/bcm-lab-$id"
    echo 0 >"/sys/fs/cgroup/bcm-lab-$id/cgroup.procs"
    exec unshare --cgroup sh "$0" "$folder" "$id" inside
fi

# The lab's own group is the root of all it can see.
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# A group with processes cannot have children with controllers.
mkdir /sys/fs/cgroup/init
echo 0 >/sys/fs/cgroup/init/cgroup.procs

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward

lxd --group root --logfile "$folder/lxd.log" &
lxd=$!
# Stands until the daemon ends, and reaps what others leave behind.
wait "$lxd" || true
