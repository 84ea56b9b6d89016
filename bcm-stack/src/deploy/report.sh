# Says what there is to say of an instance. Arguments: the paths of its volumes.
# Lines: `disk USED LEFT` in bytes, `certificate SECONDS` since 1970 at which one ends.
for path; do
  df -B1 --output=used,avail "$path" | tail -n 1 | while read -r used left; do
    echo "disk $(du -sB1 "$path" | cut -f 1) $left"
  done
done
[ -d /etc/caddy ] || exit 0
{ find /var/lib/caddy -path '*/certificates/*' -name '*.crt'; ls /etc/caddy/tls.pem; } 2>/dev/null |
while read -r file; do
  # A root that others sign below is not what clients are shown.
  openssl x509 -in "$file" -noout -text 2>/dev/null | grep -q 'CA:TRUE' && continue
  end=$(openssl x509 -in "$file" -noout -enddate 2>/dev/null) || continue
  echo "certificate $(date -u -d "${end#*=}" +%s)"
done
exit 0
