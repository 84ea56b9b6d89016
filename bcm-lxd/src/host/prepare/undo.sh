# After packages.sh and the variable $dry. Run as root. Takes back what the notes say, the last thing
# first; prints as prepare.sh does.
set -eu
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
notes=/var/lib/bcm-host/prepare
refuse() {
    printf 'refused\t%s\n' "$1"
    exit 9
}
todo() {
    if [ "$dry" = yes ]; then
        printf 'would\t%s\n' "$1"
        return 1
    fi
    printf 'did\t%s\n' "$1"
}
[ "$(id -u)" = 0 ] || refuse "this has to run as root"
[ "$dry" = yes ] || work_alone
[ -d "$notes" ] || exit 0
touch "$notes/made"
me=${SUDO_USER:-root}
if grep -qxF "user $me" "$notes/made"; then
    refuse "it would remove the user $me, who runs this; log in as another user that may use sudo, or as root"
fi
# The lines in reverse.
sed -n '1!G;h;$p' "$notes/made" | while read -r kind name rest; do
    case $kind in
    file)
        if [ -e "$name" ] && todo "remove $name"; then rm -f "$name"; fi
        case $name in
        /etc/ssh/*)
            if [ "$dry" = no ]; then
                systemctl stop bcm-sshd-rollback.timer >/dev/null 2>&1 || true
                systemctl try-reload-or-restart ssh.service >/dev/null 2>&1 || true
            fi
            ;;
        esac
        ;;
    folder)
        # Others may have put something there.
        if [ "$dry" = no ] && [ -d "$name" ]; then rmdir --ignore-fail-on-non-empty "$name"; fi
        ;;
    key)
        if grep -qsF -- "$rest" "$name" && todo "remove a key from $name"; then
            grep -vF -- "$rest" "$name" >"$notes/keys" || true
            cat "$notes/keys" >"$name"
            rm -f "$notes/keys"
        fi
        ;;
    torrc)
        if { [ -n "$(tor_drop_in "$name")" ] || grep -qs "^# >>> bcm $name" "$torrc"; } &&
            todo "take the onion service out of Tor's settings"; then
            tor_unset "$name"
            if tor_runs; then tor_apply || true; fi
        fi
        ;;
    onion)
        if [ -e "$name" ] && todo "remove $name, and with it the onion service's address and keys"; then
            rm -rf "$name"
        fi
        ;;
    unit)
        if systemctl is-enabled -q "$name" 2>/dev/null && todo "disable $name"; then
            systemctl disable --now "$name" >/dev/null 2>&1 || true
        fi
        ;;
    member)
        if id -nG "$name" 2>/dev/null | tr ' ' '\n' | grep -qxF "$rest" && todo "take $name out of the group $rest"; then
            gpasswd -d "$name" "$rest" >/dev/null
        fi
        ;;
    group)
        if getent group "$name" >/dev/null; then
            package=${name%-admin}
            if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ]; then
                printf 'kept\t%s\n' "the group $name, which the package $package uses"
            elif todo "remove the group $name"; then
                groupdel "$name"
            fi
        fi
        ;;
    user)
        if getent passwd "$name" >/dev/null && todo "remove the user $name and the home folder"; then
            loginctl terminate-user "$name" >/dev/null 2>&1 || true
            userdel --remove "$name" >/dev/null 2>&1 || {
                sleep 2
                userdel --remove --force "$name" >/dev/null 2>&1 || refuse "the user $name could not be removed"
            }
        fi
        ;;
    esac
done || exit $?
if [ "$dry" = yes ]; then
    if [ -s "$notes/packages" ]; then printf 'would\tpurge %s\n' "$(tr '\n' ' ' <"$notes/packages")"; fi
    exit 0
fi
note_packages
# Those who have come to use Tor keep it, with their services' keys.
if grep -qxF tor "$notes/packages" 2>/dev/null && grep -qsi '^[[:space:]]*HiddenServiceDir' "$torrc"; then
    printf 'kept\t%s\n' "the package tor and what it needs: there are other onion services in $torrc"
    for package in $(cat "$notes/packages"); do
        if apt-get -s purge "$package" 2>/dev/null | grep -q '^Purg tor '; then
            grep -vxF -- "$package" "$notes/packages" >"$notes/packages.new" || true
            mv "$notes/packages.new" "$notes/packages"
        fi
    done
    # Neither does its user go.
    for file in passwd group; do
        if [ -e "$notes/$file" ]; then
            grep -vx 'debian-tor' "$notes/$file" >"$notes/$file.new" || true
            mv "$notes/$file.new" "$notes/$file"
        fi
    done
fi
if [ -s "$notes/packages" ]; then
    printf 'did\tpurge %s\n' "$(tr '\n' ' ' <"$notes/packages")"
    kept=$(sed -n 's/^torrc-kept //p' "$notes/made")
    if [ -n "$kept" ] && [ -e "$kept" ]; then cp -p "$kept" "$notes/torrc"; fi
    purge_packages
    if [ -e "$notes/torrc" ]; then
        mkdir -p "${kept%/*}"
        cp -p "$notes/torrc" "$kept"
    fi
    forget_accounts
fi
rm -rf "$notes"
rmdir --ignore-fail-on-non-empty "${notes%/*}"
