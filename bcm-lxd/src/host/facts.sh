# Run by `sh` on a machine, without root, to learn what it is; changes nothing.
# Prints sections: a line "@NAME", then that section's lines.
set +eu
PATH=$PATH:/usr/sbin:/sbin:/snap/bin
LC_ALL=C
export PATH LC_ALL
section() { printf '@%s\n' "$1"; }

section os
cat /etc/os-release 2>/dev/null
section uname
uname -m
uname -r
section hostname
hostname 2>/dev/null || cat /etc/hostname
section resolves
getent ahosts "$(hostname 2>/dev/null || cat /etc/hostname)" 2>/dev/null | cut -d' ' -f1 | sort -u
section machine-id
cat /etc/machine-id 2>/dev/null
section cpus
getconf _NPROCESSORS_ONLN 2>/dev/null || nproc
section memory
grep -E '^(MemTotal|MemAvailable):' /proc/meminfo
section disk-free
df -B1 --output=avail /var/lib 2>/dev/null | tail -n 1
section block-devices
lsblk -b -P -o PATH,TYPE,SIZE,FSTYPE,MOUNTPOINT,PKNAME,PTTYPE 2>/dev/null
section addresses
ip -o addr show 2>/dev/null
section interfaces
ls /sys/class/net 2>/dev/null
section listeners
ss -H -t -l -n 2>/dev/null
section systemd
systemctl is-system-running 2>/dev/null
section sudo
if [ "$(id -u)" = 0 ]; then echo root
elif ! command -v sudo >/dev/null 2>&1; then echo missing
elif sudo -n true >/dev/null 2>&1; then echo passwordless
else echo refused
fi
section packages
# A machine that never fetched its lists of packages knows no candidates. They are fetched into a
# folder of their own then, so that nothing on the machine changes.
set --
temporary=
if command -v apt-get >/dev/null 2>&1 && ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
    temporary=$(mktemp -d)
    mkdir -p "$temporary/lists/partial" "$temporary/cache/archives/partial"
    set -- -o "Dir::State::lists=$temporary/lists" -o "Dir::Cache=$temporary/cache" \
        -o "APT::Sandbox::User=$(id -un)"
    apt-get "$@" -qq update >/dev/null 2>&1
fi
for package in lxd incus btrfs-progs zfsutils-linux lvm2 thin-provisioning-tools; do
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null)
    candidate=$(apt-cache "$@" policy "$package" 2>/dev/null | sed -n 's/^  Candidate: //p')
    printf '%s|%s|%s\n' "$package" "$installed" "$candidate"
done
if [ -n "$temporary" ]; then rm -rf "$temporary"; fi
section snap
if command -v snap >/dev/null 2>&1; then snap list lxd 2>/dev/null | tail -n +2; fi
section sockets
for socket in /var/snap/lxd/common/lxd/unix.socket /var/lib/lxd/unix.socket \
    /run/incus/unix.socket /var/lib/incus/unix.socket; do
    if [ -S "$socket" ]; then echo "$socket"; fi
done
section state
for folder in /var/snap/lxd/common/lxd /var/lib/lxd /var/lib/incus; do
    # A folder that this user may not look into counts as one with something in it.
    if [ -d "$folder" ] && { [ ! -r "$folder" ] || [ -n "$(ls -A "$folder" 2>/dev/null)" ]; }; then
        echo "$folder"
    fi
done
section tools
for tool in docker mkfs.btrfs zfs zpool lvm vgs thin_check snap apt-get nft iptables dnsmasq; do
    if command -v "$tool" >/dev/null 2>&1; then echo "$tool"; fi
done
section zpools
zpool list -H -o name 2>/dev/null
section volume-groups
{ vgs --noheadings -o vg_name 2>/dev/null || sudo -n vgs --noheadings -o vg_name 2>/dev/null; } | tr -d ' '
section notes
ls /var/lib/bcm-host/cluster 2>/dev/null
section clock
date +%s.%N
section end
