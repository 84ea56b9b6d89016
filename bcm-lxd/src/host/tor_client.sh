# After packages.sh and torrc.sh. Arguments: "add" or "remove", and the name. Run as root. With "add",
# the line of the key is on stdin.
umask 077
notes=/var/lib/bcm-host/tor-client
own=/var/lib/tor/bcm-onion-auth
refuse() {
    printf 'refused\t%s\n' "$1"
    exit 9
}
note() {
    mkdir -p "$notes"
    touch "$notes/made"
    grep -qxF -- "$1" "$notes/made" || printf '%s\n' "$1" >>"$notes/made"
}
work_alone
case $1 in
add)
    command -v tor >/dev/null 2>&1 || refuse "no Tor is installed; Debian's package is tor"
    tor_accepts "$torrc" || refuse "its torrc is broken, and was so before: $said"
    # Tor takes one folder, which may be there already.
    folder=$(tor_without client | sed -n 's/^[[:space:]]*ClientOnionAuthDir[[:space:]]\{1,\}//p' | tr -d '"' | tail -n 1)
    if [ -z "$folder" ]; then
        folder=$own
        note "folder $folder"
        install -d -m 700 -o debian-tor -g debian-tor "$folder"
    fi
    folder=${folder%/}
    note "file $folder/bcm-$2.auth_private"
    cat >"$folder/bcm-$2.auth_private.new"
    chown debian-tor:debian-tor "$folder/bcm-$2.auth_private.new"
    mv "$folder/bcm-$2.auth_private.new" "$folder/bcm-$2.auth_private"
    if [ "$folder" = "$own" ] && ! tor_has client "ClientOnionAuthDir $own"; then
        note "torrc client"
        tor_set client "ClientOnionAuthDir $own"
    fi
    ;;
remove)
    [ -e "$notes/made" ] || exit 0
    sed -n "s|^file \(.*/bcm-$2.auth_private\)\$|\1|p" "$notes/made" | while read -r file; do
        rm -f "$file" "$file.new"
        grep -vxF -- "file $file" "$notes/made" >"$notes/made.new" || true
        mv "$notes/made.new" "$notes/made"
    done
    if ! grep -q '^file ' "$notes/made"; then
        if grep -qxF "torrc client" "$notes/made"; then tor_unset client; fi
        rmdir --ignore-fail-on-non-empty "$own" 2>/dev/null || true
        rm -rf "$notes"
        rmdir --ignore-fail-on-non-empty "${notes%/*}"
    fi
    ;;
esac
if [ "$1" = add ] || tor_runs; then
    tor_apply || refuse "Tor does not run; it said: $(tor_said)"
fi
