# Arguments: the engine, then its packages. Run as root.
set -eu
engine=$1
shift
export DEBIAN_FRONTEND=noninteractive
notes=/var/lib/bcm
mkdir -p "$notes"
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p' | sort -u; }
names() { cut -d: -f1 "/etc/$1" | sort; }
if [ ! -e "$notes/packages.before" ]; then
    names passwd >"$notes/passwd.before"
    names group >"$notes/group.before"
    installed >"$notes/packages.before.new"
    mv "$notes/packages.before.new" "$notes/packages.before"
fi
# A run that was cut off may have left packages half configured.
dpkg --configure -a >/dev/null
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"; }
apt install --no-install-recommends "$@" >"$notes/apt.log" 2>&1 || {
    # The lists may be older than the mirror.
    apt update >"$notes/apt.log" 2>&1 || { tail -n 5 "$notes/apt.log" >&2; exit 1; }
    apt install --no-install-recommends "$@" >"$notes/apt.log" 2>&1 || {
        grep -E '^(E|W|Err|dpkg):?' "$notes/apt.log" | tail -n 5 >&2
        exit 1
    }
}
# Packages leave the users and groups that they made when they are purged.
names passwd | comm -13 "$notes/passwd.before" - >"$notes/passwd"
names group | comm -13 "$notes/group.before" - >"$notes/group"
installed | comm -13 "$notes/packages.before" - >"$notes/packages.new"
mv "$notes/packages.new" "$notes/packages"
rm -f "$notes"/*.before "$notes/apt.log"
printf '%s\n' "$engine" >"$notes/engine"
systemctl enable --now "$engine.socket" >/dev/null 2>&1 || systemctl start "$engine.service"
