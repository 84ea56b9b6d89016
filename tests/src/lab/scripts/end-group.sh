#!/bin/sh
# Ends every process of a lab's control group and removes the group.
# Run by `unshare --mount`. $1: an empty folder to mount at   $2: the lab's name
set -eu
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1"
group="$1/bcm-lab-$2"
[ -d "$group" ] || exit 0
echo 1 >"$group/cgroup.kill"
tries=0
while [ -d "$group" ]; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
        echo "processes of the lab do not end:" >&2
        find "$group" -name cgroup.procs -exec cat {} + >&2
        exit 1
    fi
    [ ! -d "$group" ] || sleep 0.1
done
