# Arguments: paths of sockets, in the order in which to look. Run as the user who is logged in.
# Prints the first that is there, and "root" or "user": as whom it should be connected to.
for socket; do
    if [ -S "$socket" ]; then
        printf '%s\n' "$socket"
        break
    fi
done
if [ "$(id -u)" != 0 ] && sudo -n true >/dev/null 2>&1; then echo root; else echo user; fi
