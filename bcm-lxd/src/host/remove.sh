# Arguments: the engine, and "keep" or "remove". Run as root. Takes back what BCM's notes say.
set -eu
engine=$1
export DEBIAN_FRONTEND=noninteractive
notes=/var/lib/bcm-host/cluster
[ -d "$notes" ] || exit 0
touch "$notes/made"
if [ "$2" = remove ]; then
    packages=$(cat "$notes/packages" 2>/dev/null || true)
    if [ -e "$notes/packages.before" ]; then
        # An installation was cut off: what came since is what it brought.
        packages=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^i[A-Za-z]* *//p' |
            sort -u | comm -13 "$notes/packages.before" -)
    fi
    if [ -n "$packages" ]; then
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
        # shellcheck disable=SC2086
        apt-get -q -y -o DPkg::Lock::Timeout=300 purge $packages >"$notes/apt.log" 2>&1 || {
            tail -n 5 "$notes/apt.log" >&2
            exit 1
        }
        for folder in "/var/lib/$engine" "/var/log/$engine" "/var/cache/$engine" "/run/$engine"; do
            # Instances' file systems may still be mounted below.
            grep -o " $folder/[^ ]*" /proc/mounts | sort -r | while read -r mounted; do
                umount -l "$mounted" || true
            done
            rm -rf --one-file-system "$folder"
        done
        for file in subuid subgid; do
            if [ -e "$notes/$file.before" ]; then
                sort "/etc/$file" | comm -13 "$notes/$file.before" - >"$notes/$file"
            fi
            if [ -s "$notes/$file" ]; then
                # Written through, so that the file keeps its owner and mode.
                grep -vxF -f "$notes/$file" "/etc/$file" >"$notes/$file.rest" || true
                cat "$notes/$file.rest" >"/etc/$file"
            fi
        done
        # Purged packages leave an empty folder of settings.
        if printf '%s\n' "$packages" | grep -qx dnsmasq-base; then
            rmdir /etc/dnsmasq.d 2>/dev/null || true
        fi
        for kind in passwd group; do
            made=$(cat "$notes/$kind" 2>/dev/null || cut -d: -f1 "/etc/$kind" | sort |
                comm -13 "$notes/$kind.before" - 2>/dev/null) || true
            for name in $made; do
                case $kind in
                passwd) userdel "$name" >/dev/null 2>&1 ;;
                group) groupdel "$name" >/dev/null 2>&1 ;;
                esac || true
            done
        done
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
rm -rf "$notes"
rmdir --ignore-fail-on-non-empty "${notes%/*}"
