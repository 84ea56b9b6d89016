# Says in one line how an instance is: status 0 well, 3 it runs and does not serve yet, 1 not well, 4 not
# well, and waiting is of no use.
# Arguments: PORT/PATH or -, a port or -, units …
http=$1 tcp=$2
shift 2
for unit; do
  state=$(systemctl is-active "$unit")
  case $state in
    active) ;;
    *)
      echo "$unit is $state"
      # One that ends again and again does not get well by waiting.
      # Timers and sockets do not count.
      restarts=$(systemctl show -p NRestarts --value "$unit")
      [ "${restarts:-0}" -lt 3 ] || exit 4
      [ "$state" != failed ] || exit 4
      exit 1 ;;
  esac
done
if [ "$tcp" != - ]; then
  if ! timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$tcp" 2>/dev/null; then
    echo "nobody listens on port $tcp"
    exit 1
  fi
fi
if [ "$http" != - ]; then
  port=${http%%/*} path=/${http#*/}
  line=$(timeout 10 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$0" || exit
    printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$1" >&3
    head -c 4000 <&3' "$port" "$path" 2>/dev/null | tr -d '\000\r')
  set -- $line
  case $2 in
    2??) ;;
    "") echo "no answer at port $port"; exit 1 ;;
    *) echo "$path is answered with $2: $(echo "$line" | tail -n 1 | cut -c 1-300)"; exit 3 ;;
  esac
fi
echo well
