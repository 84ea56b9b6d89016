# Arguments: "position" or "recover", the engine. Run as root.
set -eu
engine=$2
folder=/var/lib/$engine
if [ -d "/var/snap/lxd/common/lxd/database" ] && [ "$engine" = lxd ]; then
    folder=/var/snap/lxd/common/lxd
fi
global=$folder/database/global
case $1 in
position)
    # Closed segments of the database's log are named FIRST-LAST; what an open one holds beyond
    # that is at most a few entries, and counts by its blocks on disk.
    [ -d "$global" ] || exit 44
    last=$(ls "$global" | sed -n 's/^[0-9]*-0*\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1)
    snapshot=$(ls "$global" | sed -n 's/^snapshot-[0-9]*-\([0-9]*\)-[0-9]*$/\1/p' | sort -n | tail -n 1)
    open=$(cat "$global"/open-* 2>/dev/null | tr -d '\000' | wc -c)
    last=${last:-0}
    snapshot=${snapshot:-0}
    if [ "$snapshot" -gt "$last" ]; then last=$snapshot; fi
    printf '%s %s\n' "$last" "$open"
    ;;
recover)
    backup=$folder/database-before-recovery-$(date +%Y%m%dT%H%M%S).tar.gz
    # Where this fails, what ran goes on as it was; without its quorum it would be waited for long.
    trap 'systemctl start --no-block "$engine.socket" "$engine.service" >/dev/null 2>&1 ||
        snap start "$engine" >/dev/null 2>&1 || true' EXIT
    systemctl stop "$engine.service" "$engine.socket" >/dev/null 2>&1 || snap stop "$engine" >/dev/null 2>&1 || true
    tar -C "$folder" -czf "$backup" database
    sync "$backup"
    # They ask first. Against that LXD has an option, which is another one for Incus.
    case $engine in
    lxd) lxd cluster recover-from-quorum-loss -q >&2 ;;
    *) echo yes | incus admin cluster recover-from-quorum-loss >&2 ;;
    esac
    trap - EXIT
    systemctl start "$engine.socket" >/dev/null 2>&1 || true
    systemctl start "$engine.service" >/dev/null 2>&1 || snap start "$engine" >/dev/null 2>&1 || true
    printf '%s\n' "$backup"
    ;;
esac
