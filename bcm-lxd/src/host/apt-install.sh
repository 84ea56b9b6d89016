# Arguments: the engine, then its packages. Run as root.
set -eu
engine=$1
shift
export DEBIAN_FRONTEND=noninteractive
notes=/var/lib/bcm-host/cluster
mkdir -p "$notes"
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p' | sort -u; }
# Users and groups by name; the ranges of ids that they may map, whole lines.
entries() {
    case $1 in
    passwd | group) cut -d: -f1 "/etc/$1" | sort ;;
    *) sort "/etc/$1" 2>/dev/null || true ;;
    esac
}
if [ ! -e "$notes/packages.before" ]; then
    for file in passwd group subuid subgid; do
        entries "$file" >"$notes/$file.before"
    done
    installed >"$notes/packages.before.new"
    mv "$notes/packages.before.new" "$notes/packages.before"
fi
# A run that was cut off may have left packages half configured.
dpkg --configure -a >/dev/null
# What is downloaded is kept with the notes, so that none of it stays, whatever happens here.
mkdir -p "$notes/archives/partial"
apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        -o "Dir::Cache::archives=$notes/archives/" "$@"
}
apt install --no-install-recommends "$@" >"$notes/apt.log" 2>&1 || {
    # The lists may be older than the mirror.
    apt update >"$notes/apt.log" 2>&1 || { tail -n 5 "$notes/apt.log" >&2; exit 1; }
    apt install --no-install-recommends "$@" >"$notes/apt.log" 2>&1 || {
        grep -E '^(E|W|Err|dpkg):?' "$notes/apt.log" | tail -n 5 >&2
        exit 1
    }
}
# Packages leave the users, groups and ranges of ids that they made when they are purged.
for file in passwd group subuid subgid; do
    entries "$file" | comm -13 "$notes/$file.before" - >"$notes/$file"
done
installed | comm -13 "$notes/packages.before" - >"$notes/packages.new"
mv "$notes/packages.new" "$notes/packages"
rm -rf "$notes"/*.before "$notes/apt.log" "$notes/archives"
printf '%s\n' "$engine" >"$notes/engine"
systemctl enable --now "$engine.socket" >/dev/null 2>&1 || systemctl start "$engine.service"
