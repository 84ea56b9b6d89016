# Puts new files in their places and starts what they are for. What was there is kept beside them as
# `.bcm-previous`; of what was not there, `.bcm-absent` says so.
# Arguments: `files:`, then for each file its path, mode and owner; `folders:`, paths and owners; `restart:`,
# `reload:` and `enable:`, units.
set -e
# One at a time; what was given up waiting for may still run.
exec 9</etc
flock -w 60 9 || { echo "another delivery has not ended" >&2; exit 1; }
part=
paths=() modes=() owners=() restart=() reload=() enable=() folders=()
while [ $# -gt 0 ]; do
  case $1 in
    files:|folders:|restart:|reload:|enable:) part=$1; shift; continue ;;
  esac
  case $part in
    files:) paths+=("$1") modes+=("$2") owners+=("$3"); shift 3 ;;
    folders:) folders+=("$1" "$2"); shift 2 ;;
    restart:) restart+=("$1"); shift ;;
    reload:) reload+=("$1"); shift ;;
    enable:) enable+=("$1"); shift ;;
  esac
done
# All of it is kept before any of it changes.
for path in "${paths[@]}"; do
  if [ -d "$path" ] && [ ! -L "$path" ]; then
    echo "$path is a folder" >&2
    exit 1
  fi
  # What a delivery kept that was cut off is what was good; what is there now may not be.
  if [ -e "$path.bcm-absent" ] || [ -e "$path.bcm-previous" ] || [ -L "$path.bcm-previous" ]; then
    continue
  fi
  if [ -e "$path" ] || [ -L "$path" ]; then
    cp -a "$path" "$path.bcm-kept"
    mv -fT "$path.bcm-kept" "$path.bcm-previous"
  else
    : > "$path.bcm-absent"
  fi
done
for path in "${paths[@]}"; do
  mv -fT "$path.bcm-new" "$path"
done
# Users that files and folders belong to may come with the files.
systemd-sysusers
for index in "${!paths[@]}"; do
  chown "${owners[$index]}:" "${paths[$index]}"
  # Last, for another owner takes some bits away.
  chmod "${modes[$index]}" "${paths[$index]}"
done
set -- "${folders[@]}"
while [ $# -gt 0 ]; do
  chown "$2:" "$1"
  shift 2
done
systemctl daemon-reload
[ ${#enable[@]} = 0 ] || systemctl enable --quiet "${enable[@]}"
# What a unit that does not start wrote says more than that it did not.
begin() {
  systemctl "$@" && return
  journalctl --no-pager -o cat -n 8 -u "$2" >&2
  return 1
}
for unit in "${reload[@]}"; do
  # A reload can fail where a start does not: of a busy machine, or of a program that has ended.
  systemctl reload-or-restart "$unit" || begin restart "$unit"
done
for unit in "${restart[@]}"; do begin restart "$unit"; done
