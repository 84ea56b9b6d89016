# After packages.sh. Arguments: the engine, and "keep" or "remove". Run as root. Takes back what BCM's
# notes say.
set -eu
engine=$1
notes=/var/lib/bcm-host/cluster
[ -d "$notes" ] || exit 0
work_alone
touch "$notes/made"
if [ "$2" = remove ]; then
    # An installation may have been cut off: what came since it began is what it brought.
    note_packages
    if [ -s "$notes/packages" ]; then
        # One whose cluster is gone waits for it for minutes.
        timeout 20 systemctl stop "$engine.socket" "$engine.service" >/dev/null 2>&1 ||
            systemctl kill --signal=KILL "$engine.service" >/dev/null 2>&1 || true
        # Instances outlive their engine.
        for process in /proc/[0-9]*; do
            command=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
            case $command in
            "[lxc monitor] /var/lib/$engine/"*)
                name=$(printf '%s' "$command" | sed 's/ *$//; s/.* //')
                echo 1 >"/sys/fs/cgroup/lxc.payload.$name/cgroup.kill" || true
                kill -KILL "${process#/proc/}" || true
                ;;
            esac 2>/dev/null
        done
        # Engines leave their table of the firewall; the tool for it may be among the packages.
        nft delete table inet "$engine" >/dev/null 2>&1 || true
        purge_packages
        for folder in "/var/lib/$engine" "/var/log/$engine" "/var/cache/$engine" "/run/$engine"; do
            # Instances' file systems may still be mounted below.
            grep -o " $folder/[^ ]*" /proc/mounts | sort -r | while read -r mounted; do
                umount -l "$mounted" || true
            done
            rm -rf --one-file-system "$folder"
        done
        forget_accounts
        # Services that could not start, as after a power cut, are remembered without their units.
        systemctl reset-failed "$engine*" 'lxcfs*' >/dev/null 2>&1 || true
    fi
    if [ -e "$notes/snap" ]; then
        snap remove --purge "$(cat "$notes/snap")" >&2
    fi
fi
# Pools and bridges that outlived the engine's own way of removing them.
while read -r kind name; do
    case $kind in
    zfs) zpool list "$name" >/dev/null 2>&1 && zpool destroy -f "$name" ;;
    lvm) vgs "$name" >/dev/null 2>&1 && vgremove -q -y "$name" >/dev/null ;;
    bridge) [ -e "/sys/class/net/$name" ] && ip link delete "$name" ;;
    esac || true
done <"$notes/made"
rm -rf "$notes" /run/bcm-host.lock /run/bcm-image.lock
rmdir --ignore-fail-on-non-empty "${notes%/*}"
