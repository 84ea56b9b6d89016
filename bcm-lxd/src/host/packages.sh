# Functions for scripts that run as root: Debian's packages that BCM brings to a machine, and their
# removal. $notes is the folder of the notes about them.
export DEBIAN_FRONTEND=noninteractive
# Whoever comes while an earlier run, whose connection was lost, still works waits for its end.
work_alone() {
    exec 9>/run/bcm-host.lock
    flock -w 600 9 || { echo 'another run of bcm works on this machine, for ten minutes already' >&2; exit 1; }
}
# Packages of which anything is there: one that a full disk left half configured is somebody's, too.
packages_there() {
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^[a-z][HUFWti][R ]* *//p' | sort -u
}

# Users and groups by name; the ranges of ids that they may map, whole lines.
entries() {
    case $1 in
    passwd | group) cut -d: -f1 "/etc/$1" | sort ;;
    *) sort "/etc/$1" 2>/dev/null || true ;;
    esac
}

# Adds stdin to a sorted note.
add_to_note() {
    touch "$notes/$1"
    sort -u - "$notes/$1" >"$notes/$1.new"
    mv "$notes/$1.new" "$notes/$1"
}

# What has come since the notes were begun goes into them.
note_packages() {
    [ -e "$notes/packages.before" ] || return 0
    # Packages leave the users, groups and ranges of ids that they made when they are purged.
    for file in passwd group subuid subgid; do
        entries "$file" | comm -13 "$notes/$file.before" - | add_to_note "$file"
    done
    packages_there | comm -13 "$notes/packages.before" - | add_to_note packages
}

# Installs its arguments. The packages that were there before are noted first, and those that came
# are noted last, so that a run that was cut off in between still knows what to take back.
bring_packages() {
    mkdir -p "$notes"
    if [ ! -e "$notes/packages.before" ]; then
        for file in passwd group subuid subgid; do
            entries "$file" >"$notes/$file.before"
        done
        packages_there >"$notes/packages.before.new"
        mv "$notes/packages.before.new" "$notes/packages.before"
    fi
    # A run that was cut off may have left packages half configured.
    dpkg --configure -a >/dev/null 2>&1 || true
    # What is downloaded is kept with the notes, so that none of it stays, whatever happens here.
    mkdir -p "$notes/archives/partial"
    # A disk that was full in the middle leaves some unpacked without what they need; apt mends that
    # only when it is asked for nothing else.
    apt check >/dev/null 2>&1 || change_packages -f install --no-install-recommends
    change_packages install --no-install-recommends "$@"
    note_packages
    rm -rf "$notes"/*.before "$notes/apt.log" "$notes/archives"
}

apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        -o "Dir::Cache::archives=$notes/archives/" "$@"
}

# Runs apt with its arguments, and ends with its reason where it fails.
change_packages() {
    apt "$@" >"$notes/apt.log" 2>&1 && return
    # As long as it did not come to dpkg, the lists may be older than the mirror. Afterwards they are not
    # why, and a second failure would hide the reason of the first.
    if ! grep -q '^E: Sub-process .*dpkg returned an error' "$notes/apt.log"; then
        apt update >"$notes/apt.log" 2>&1 || { tail -n 5 "$notes/apt.log" >&2; exit 1; }
        apt "$@" >"$notes/apt.log" 2>&1 && return
    fi
    # The reason is on the line after dpkg's own.
    why=$(grep -E '^ ?(E|W|Err|dpkg|cannot|.*No space left)[: ]?' "$notes/apt.log" | tail -n 6)
    printf '%s\n' "${why:-$(tail -n 6 "$notes/apt.log")}" >&2
    exit 1
}

# Purges the packages in the notes.
purge_packages() {
    touch "$notes/packages"
    # Those that are known there: apt refuses all for one that somebody removed already.
    packages=$(dpkg-query -W -f '${Package}\n' | sort -u | comm -12 - "$notes/packages")
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086
    apt-get -q -y -o DPkg::Lock::Timeout=300 purge $packages >"$notes/apt.log" 2>&1 || {
        tail -n 5 "$notes/apt.log" >&2
        exit 1
    }
    # Purged packages leave an empty folder of settings.
    if printf '%s\n' "$packages" | grep -qx dnsmasq-base; then
        rmdir /etc/dnsmasq.d 2>/dev/null || true
    fi
}

# Removes the users, groups and ranges of ids that packages made.
forget_accounts() {
    for file in subuid subgid; do
        if [ -s "$notes/$file" ]; then
            # Written through, so that the file keeps its owner and mode.
            grep -vxF -f "$notes/$file" "/etc/$file" >"$notes/$file.rest" || true
            cat "$notes/$file.rest" >"/etc/$file"
        fi
    done
    for name in $(cat "$notes/passwd" 2>/dev/null); do userdel "$name" >/dev/null 2>&1 || true; done
    for name in $(cat "$notes/group" 2>/dev/null); do groupdel "$name" >/dev/null 2>&1 || true; done
}
