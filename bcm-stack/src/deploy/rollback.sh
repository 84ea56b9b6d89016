# Puts back what files were before. Arguments: `files`, paths; `restart`, units.
part=
restart=
while [ $# -gt 0 ]; do
  case $1 in
    files:|restart:) part=$1; shift; continue ;;
  esac
  case $part in
    files:)
      rm -f "$1.bcm-new"
      if [ -e "$1.bcm-previous" ]; then mv "$1.bcm-previous" "$1"; else rm -f "$1"; fi ;;
    restart:) restart="$restart $1" ;;
  esac
  shift
done
systemctl daemon-reload
for unit in $restart; do systemctl reset-failed "$unit" 2>/dev/null; systemctl restart "$unit"; done
exit 0
