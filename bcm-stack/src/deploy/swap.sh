# Puts new files in their places and starts what they are for.
# Arguments: `files`, then for each file its path, mode and owner; `folders`, paths and owners; `restart`,
# `reload` and `enable`, units.
set -e
part=
list= folders= restart= reload= enable=
while [ $# -gt 0 ]; do
  case $1 in
    files:|folders:|restart:|reload:|enable:) part=$1; shift; continue ;;
  esac
  case $part in
    files:)
      path=$1 mode=$2
      if [ -e "$path" ]; then cp -a "$path" "$path.bcm-previous"; else rm -f "$path.bcm-previous"; fi
      chmod "$mode" "$path.bcm-new"
      mv "$path.bcm-new" "$path"
      list="$list$path $3
"
      shift 3 ;;
    folders:) folders="$folders$1 $2
"; shift 2 ;;
    restart:) restart="$restart $1"; shift ;;
    reload:) reload="$reload $1"; shift ;;
    enable:) enable="$enable $1"; shift ;;
  esac
done
# Users that files and folders belong to may come with the files.
systemd-sysusers
printf '%s' "$list$folders" | while read -r path owner; do
  chown "$owner:" "$path"
done
systemctl daemon-reload
[ -z "$enable" ] || systemctl enable --quiet $enable
for unit in $reload; do systemctl reload-or-restart "$unit"; done
for unit in $restart; do systemctl restart "$unit"; done
