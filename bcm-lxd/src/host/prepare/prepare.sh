# After packages.sh and the variables that say what is wanted. Run as root. Prints a line for each
# change, "did" or "would" and a tab before it; "refused" and a tab before what stops it.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
notes=/var/lib/bcm-host/prepare
dropin=/etc/ssh/sshd_config.d/10-bcm.conf
mark='# Made by `bcm host prepare`; `bcm host prepare --undo` removes it.'

refuse() {
    printf 'refused\t%s\n' "$1"
    exit 9
}
# True when WHAT is to be done now; says it either way.
todo() {
    if [ "$dry" = yes ]; then
        printf 'would\t%s\n' "$1"
        return 1
    fi
    printf 'did\t%s\n' "$1"
}
# Notes come before what they note.
note() {
    mkdir -p "$notes"
    touch "$notes/made"
    grep -qxF -- "$1" "$notes/made" || printf '%s\n' "$1" >>"$notes/made"
}
is_noted() { [ -e "$notes/made" ] && grep -qxF -- "$1" "$notes/made"; }
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# Whether the file $1 is to be written with the content $2; a file that is not BCM's is never
# written over.
file_differs() {
    if [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; then return 1; fi
    if [ -e "$1" ] && ! is_noted "file $1"; then
        refuse "$1 is there already, and BCM did not make it; move it away first"
    fi
}

[ "$(id -u)" = 0 ] || refuse "this has to run as root"
[ "$dry" = yes ] || work_alone
os=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"')
case $os in
debian | ubuntu) ;;
*) refuse "it runs ${os:-an unknown system}; Debian and Ubuntu are supported" ;;
esac
if command -v sshd >/dev/null 2>&1; then
    # Its folder for privilege separation is there only while it runs.
    mkdir -p /run/sshd
    broken=$(sshd -t 2>&1) || refuse "its sshd_config is broken, and was so before: $broken"
fi
if [ "$onion" = yes ] && command -v tor >/dev/null 2>&1 && [ -e "$torrc" ] && ! tor_accepts "$torrc"; then
    refuse "its torrc is broken, and was so before: $said"
fi
free=$(df -Pk /var | awk 'NR == 2 { print $4 }')
[ "$free" -gt 524288 ] || refuse "only $((free / 1024)) MiB free in /var; make room for packages first"
if ! getent passwd "$user" >/dev/null && getent group "$user" >/dev/null; then
    refuse "there is a group $user without such a user, which means something else; choose another name for the user"
fi

# Packages.
want="sudo openssh-server $packages_wanted"
if [ "$time_sync" = yes ]; then
    synced=no
    for unit in systemd-timesyncd chrony chronyd ntp ntpsec openntpd; do
        if systemctl is-enabled -q "$unit" 2>/dev/null; then synced=yes; fi
    done
    if [ "$synced" = no ]; then want="$want systemd-timesyncd"; fi
fi
if [ "$unattended" = yes ]; then want="$want unattended-upgrades"; fi
if [ "$onion" = yes ]; then want="$want tor"; fi
missing=
for package in $want; do
    is_installed "$package" || missing="$missing $package"
done
if [ -n "$missing" ] || [ -e "$notes/packages.before" ]; then
    if todo "install$missing"; then
        # It would go with the package, though it came before that.
        if [ "$onion" = yes ] && ! is_installed tor && [ -e "$torrc" ]; then note "torrc-kept $torrc"; fi
        # shellcheck disable=SC2086
        bring_packages $missing
    fi
fi
if [ "$time_sync" = yes ] && [ "$synced" = no ] && is_installed systemd-timesyncd &&
    ! systemctl is-enabled -q systemd-timesyncd 2>/dev/null; then
    if todo "keep the clock by systemd-timesyncd"; then
        note "unit systemd-timesyncd"
        systemctl enable --now systemd-timesyncd >/dev/null 2>&1
    fi
fi

# The user.
if ! getent passwd "$user" >/dev/null; then
    if todo "make the user $user, without a password"; then
        note "user $user"
        useradd --create-home --shell /bin/bash "$user"
    fi
fi
if [ "$group" = auto ]; then
    if is_installed incus || { ! is_installed lxd && apt-cache policy incus 2>/dev/null | grep -q 'Candidate: [0-9]'; }; then
        group=incus-admin
    else
        group=lxd
    fi
fi
if [ -n "$group" ]; then
    if ! getent group "$group" >/dev/null; then
        if todo "make the group $group, which its engine will use"; then
            note "group $group"
            groupadd --system "$group"
        fi
    fi
    if ! id -nG "$user" 2>/dev/null | tr ' ' '\n' | grep -qxF "$group"; then
        if todo "put $user into the group $group"; then
            note "member $user $group"
            usermod -a -G "$group" "$user"
        fi
    fi
fi
sudoers=/etc/sudoers.d/90-bcm
content="$mark
$user ALL=(ALL:ALL) NOPASSWD: ALL"
if file_differs "$sudoers" "$content"; then
    if todo "let $user use sudo without a password"; then
        note "file $sudoers"
        # A name with a dot is not read by sudo.
        printf '%s\n' "$content" >"$sudoers.new"
        chmod 440 "$sudoers.new"
        visudo -cqf "$sudoers.new" >/dev/null || { rm -f "$sudoers.new"; refuse "sudo does not accept $sudoers"; }
        mv "$sudoers.new" "$sudoers"
        broken=$(visudo -cq 2>&1) || { rm -f "$sudoers"; refuse "with $sudoers, sudo's settings are broken: $broken"; }
    fi
fi
home=$(getent passwd "$user" | cut -d: -f6) || home=/home/$user
printf '%s\n' "$keys" | while read -r key; do
    [ -n "$key" ] || continue
    # The type and the key itself; what follows is a comment.
    bare=$(printf '%s\n' "$key" | cut -d' ' -f1,2)
    file=$home/.ssh/authorized_keys
    if ! grep -qsF -- "$bare" "$file"; then
        if todo "let the key ${key##* } log in as $user"; then
            if [ ! -d "$home/.ssh" ]; then
                note "folder $home/.ssh"
                install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$home/.ssh"
            fi
            if [ ! -e "$file" ]; then
                note "file $file"
                install -m 600 -o "$user" -g "$(id -gn "$user")" /dev/null "$file"
            fi
            note "key $file $bare"
            printf '%s\n' "$key" >>"$file"
        fi
    fi
done

if [ "$onion" = yes ]; then serve_onion; fi

# sshd, last: by now the key works.
content="$mark
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
X11Forwarding no"
if file_differs "$dropin" "$content"; then
    if todo "let sshd accept keys only"; then
        if [ ! -d "${dropin%/*}" ]; then
            note "folder ${dropin%/*}"
            mkdir -p "${dropin%/*}"
        fi
        note "file $dropin"
        printf '%s\n' "$content" >"$dropin.new"
        mv "$dropin.new" "$dropin"
        mkdir -p /run/sshd
        broken=$(sshd -t 2>&1) || { rm -f "$dropin"; refuse "sshd does not accept the settings: $broken"; }
        sshd -T 2>/dev/null | grep -qix 'passwordauthentication no' || {
            rm -f "$dropin"
            refuse "its sshd_config does not include ${dropin%/*}, or says otherwise before it does"
        }
        if [ "$confirm" = yes ]; then
            # Nobody is locked out: unless a new connection is made in time, it is taken back.
            systemctl stop bcm-sshd-rollback.timer >/dev/null 2>&1 || true
            systemd-run -q --on-active=120 --unit=bcm-sshd-rollback \
                sh -c "rm -f $dropin; systemctl try-reload-or-restart ssh.service" >/dev/null
        fi
        systemctl try-reload-or-restart ssh.service >/dev/null 2>&1 ||
            systemctl try-reload-or-restart sshd.service >/dev/null 2>&1 || true
    fi
fi

if [ "$unattended" = yes ]; then
    file=/etc/apt/apt.conf.d/60bcm-unattended-upgrades
    content='// Made by `bcm host prepare`; `bcm host prepare --undo` removes it.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";'
    if file_differs "$file" "$content"; then
        if todo "install security updates every day"; then
            note "file $file"
            printf '%s\n' "$content" >"$file"
        fi
    fi
fi
printf 'user\t%s\n' "$user"
