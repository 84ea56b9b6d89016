# Puts back what files were before. What nothing was kept of was not changed, and stays.
# Arguments: `files:`, paths; `restart:`, units that were there before; `new:`, units that were not.
exec 9</etc
flock -w 60 9 || { echo "what is to be taken back has not ended" >&2; exit 1; }
part=
paths=() restart=() new=()
while [ $# -gt 0 ]; do
  case $1 in
    files:|restart:|new:) part=$1; shift; continue ;;
  esac
  case $part in
    files:) paths+=("$1") ;;
    restart:) restart+=("$1") ;;
    new:) new+=("$1") ;;
  esac
  shift
done
# While their files are still there.
for unit in "${new[@]}"; do
  for path in "${paths[@]}"; do
    if [ "${path##*/}" = "$unit" ] && [ -e "$path.bcm-absent" ]; then
      systemctl disable --quiet --now "$unit"
    fi
  done
done
failed=0
for path in "${paths[@]}"; do
  rm -f "$path.bcm-new" "$path.bcm-kept"
  if [ -e "$path.bcm-previous" ] || [ -L "$path.bcm-previous" ]; then
    mv -fT "$path.bcm-previous" "$path" || failed=1
  elif [ -e "$path.bcm-absent" ]; then
    { rm -f "$path" && rm -f "$path.bcm-absent"; } || failed=1
  fi
done
systemctl daemon-reload
for unit in "${restart[@]}"; do
  systemctl reset-failed "$unit" 2>/dev/null
  systemctl restart "$unit"
done
exit $failed
