# Functions for scripts that run as root: settings of BCM's own for the system's Tor, as Debian has it.
# They are a marked block at the end of torrc, or a file of their own where torrc includes a folder.
# What is not BCM's stays as it is, and what Tor would not load is never put there.
torrc=/etc/tor/torrc
tor_defaults=/usr/share/tor/tor-service-defaults-torrc
tor_unit=tor@default.service

# The file for the settings $1, where torrc includes all files of a folder.
tor_drop_in() {
    [ -e "$torrc" ] || return 0
    sed -n 's/^[[:space:]]*%include[[:space:]]\{1,\}//p' "$torrc" | tr -d '"' | while read -r included; do
        case $included in
        /*/\*.conf | /*/\*) folder=${included%/*} ;;
        *) folder=${included%/} ;;
        esac
        if [ -d "$folder" ]; then
            printf '%s\n' "$folder/bcm-$1.conf"
            break
        fi
    done
}

# torrc without the block $1, as it was before that came.
tor_without() {
    [ -e "$torrc" ] || return 0
    if grep -qxF "# >>> bcm $1, no newline before" "$torrc"; then
        printf '%s' "$(sed "/^# >>> bcm $1/,/^# <<< bcm $1/d" "$torrc")"
    else
        sed "/^# >>> bcm $1/,/^# <<< bcm $1/d" "$torrc"
    fi
}

# True when the settings $1 are there with the content $2.
tor_has() {
    drop_in=$(tor_drop_in "$1")
    if [ -n "$drop_in" ]; then
        [ -e "$drop_in" ] && [ "$(grep -v '^#' "$drop_in")" = "$2" ]
    else
        [ -e "$torrc" ] && [ "$(sed -n "/^# >>> bcm $1/,/^# <<< bcm $1/p" "$torrc" | grep -v '^#')" = "$2" ]
    fi
}

# Whether Tor would load the file $1; $said is what it says otherwise. As the service's unit does it: Tor
# becomes debian-tor by itself, as its defaults say, and does not take them from anybody else.
tor_accepts() {
    said=$(tor --defaults-torrc "$tor_defaults" -f "$1" --verify-config 2>&1) && return 0
    said=$(printf '%s\n' "$said" | sed -n 's/^.*\[\(warn\|err\)\] //p' | grep -v 'Reading config failed' | tail -n 4)
    return 1
}

# Puts the settings $1 with the content $2 there. Refuses, with torrc as it was, what Tor would not load.
tor_set() {
    candidate=$torrc.bcm
    # With the owner and the mode that torrc has.
    if [ -e "$torrc" ]; then cp -p "$torrc" "$candidate"; else : >"$candidate"; fi
    drop_in=$(tor_drop_in "$1")
    {
        tor_without "$1"
        begin="# >>> bcm $1"
        if [ -e "$torrc" ] && [ -n "$(tor_without "$1" | tail -c 1)" ]; then
            printf '\n'
            begin="$begin, no newline before"
        fi
        printf '%s\n# Made by bcm, which removes it again.\n%s\n# <<< bcm %s\n' "$begin" "$2" "$1"
    } >"$candidate"
    # What a drop-in of an earlier run says would be said twice.
    if [ -n "$drop_in" ] && [ -e "$drop_in" ]; then mv "$drop_in" "$drop_in.bcm-old"; fi
    if ! tor_accepts "$candidate"; then
        rm -f "$candidate"
        if [ -n "$drop_in" ] && [ -e "$drop_in.bcm-old" ]; then mv "$drop_in.bcm-old" "$drop_in"; fi
        refuse "Tor would not load the settings, so torrc was left as it was: $said"
    fi
    if [ -n "$drop_in" ]; then
        rm -f "$candidate" "$drop_in.bcm-old"
        printf '# Made by bcm, which removes it again.\n%s\n' "$2" >"$drop_in.new"
        chmod 644 "$drop_in.new"
        mv "$drop_in.new" "$drop_in"
    else
        mv "$candidate" "$torrc"
    fi
}

# Takes the settings $1 away again.
tor_unset() {
    rm -f "$torrc.bcm"
    drop_in=$(tor_drop_in "$1")
    if [ -n "$drop_in" ]; then rm -f "$drop_in" "$drop_in.new" "$drop_in.bcm-old"; fi
    if [ -e "$torrc" ] && grep -q "^# >>> bcm $1" "$torrc"; then
        cp -p "$torrc" "$torrc.bcm"
        tor_without "$1" >"$torrc.bcm"
        mv "$torrc.bcm" "$torrc"
    fi
}

tor_runs() { systemctl is-active -q "$tor_unit"; }

# Lets Tor read its settings, and starts it where it does not run.
tor_apply() {
    if tor_runs; then
        systemctl reload "$tor_unit"
    else
        systemctl reset-failed "$tor_unit" >/dev/null 2>&1 || true
        systemctl start "$tor_unit" >/dev/null 2>&1
    fi
}

# What Tor said last.
tor_said() {
    file=$(sed -n 's/^[[:space:]]*[Ll]og[[:space:]].*[[:space:]]file[[:space:]]\{1,\}//p' "$torrc" 2>/dev/null | tail -n 1)
    if [ -n "$file" ] && [ -s "$file" ]; then
        tail -n 6 "$file" | sed 's/^[A-Z][a-z][a-z] [0-9 ]* [0-9:.]* //'
    else
        journalctl -u "$tor_unit" -o cat -n 6 --no-pager 2>/dev/null
    fi
}
