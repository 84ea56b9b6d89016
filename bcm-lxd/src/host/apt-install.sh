# After packages.sh. Arguments: the engine, then its packages. Run as root.
set -eu
engine=$1
shift
notes=/var/lib/bcm-host/cluster
work_alone
bring_packages "$@"
printf '%s\n' "$engine" >"$notes/engine"
systemctl enable --now "$engine.socket" >/dev/null 2>&1 || systemctl start "$engine.service"
