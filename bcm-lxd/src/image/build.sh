# After packages.sh and clean.sh. Arguments: these two as one text, the script that makes the tree, the
# engine's command, the project, the recipe's hash, a description, then packages. Run as root. Prints
# "progress" with what it does.
set -eu
cleaner=$1
tree=$2
cli=$3
project=$4
recipe=$5
description=$6
shift 6
export PATH="$PATH:/snap/bin"
need=1536

say() { printf 'progress\t%s\n' "$1"; }
refuse() {
    printf 'refused\t%s' "$1"
    exit 9
}
ended() {
    status=$?
    trap - EXIT
    if [ "$status" != 0 ] && [ "$status" != 9 ] && [ -s "${work:-/}/log" ]; then tail -n 15 "$work/log" >&2; fi
    clean >/dev/null 2>&1
    exit "$status"
}
told_to_end() {
    trap - EXIT
    # There are two seconds for that, which is not enough.
    setsid -f sh -euc "$cleaner
clean" >/dev/null 2>&1 </dev/null
    exit 143
}

# One at a time; what a run that was cut off left goes first.
exec 8>/run/bcm-image.lock
flock -n 8 || {
    say 'waiting for the image that is being built here'
    flock 8
}
mkdir -p "$base"
chmod 700 "$base"
trap ended EXIT
trap told_to_end TERM INT HUP
clean >/dev/null 2>&1
mkdir -p "$base"
chmod 700 "$base"
free=$(($(df -Pk "$base" | awk 'NR == 2 { print $4 }') / 1024))
[ "$free" -ge "$need" ] ||
    refuse "building an image takes $need MiB below $base, and $free MiB are free there"
work=$(mktemp -d "$base/work.XXXXXX")

# The archive of the machine's own release, as apt understands its sources.
# shellcheck disable=SC1091
release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
archives() {
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(SITE) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
        awk -v release="$release" '($1 == "Debian" || $1 == "Ubuntu") && $3 ~ /^https?:/ &&
            ($2 == release || index($2, release "-") == 1 || index($4, release) == 1) { print $1, $3, $4, $5 }' | sort -u
}
found=$(archives)
if [ -z "$found" ]; then
    say 'fetching the lists of packages'
    apt-get -q update >"$work/log" 2>&1
    found=$(archives)
fi
archive=$(printf '%s\n' "$found" | awk -v release="$release" '$3 == release && $4 == "main"' | head -n 1)
[ -n "$archive" ] ||
    refuse "its apt sources have no archive of Debian's or Ubuntu's for its release ${release:-(which it does not name)}"
vendor=$(printf '%s' "${archive%% *}" | tr DU du)
site=$(printf '%s' "$archive" | cut -d ' ' -f 2)
keyring=
for file in "/usr/share/keyrings/$vendor-archive-keyring.gpg" "/usr/share/keyrings/$vendor-archive-keyring.pgp"; do
    if [ -e "$file" ]; then
        keyring=$file
        break
    fi
done
[ -n "$keyring" ] || refuse "it lacks the package $vendor-archive-keyring, and without it nothing can be verified"
printf '%s\n' "$found" | awk '{ of[$2 " " $3] = of[$2 " " $3] " " $4 }
    END { for (at in of) print "deb " at of[at] }' | sort >"$work/sources.list"
# What fetching takes here, it takes there.
apt-config dump | grep -iE '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|Retries)' >"$work/apt.conf" || true
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
[ -z "${http_proxy:-}" ] || export http_proxy
[ -z "${https_proxy:-}" ] || export https_proxy

say 'bringing debootstrap'
(
    work_alone
    bring_packages debootstrap squashfs-tools
)
# Namespaces of its own: whatever happens to this, no mount and no process of the tree stays.
unshare --mount --pid --fork --kill-child sh -euc "$tree" sh "$work" "$release" "$site" "$keyring" "$@"

say 'packing'
version=$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' "$work/root/etc/os-release")
{
    printf 'architecture: "%s"\ncreation_date: %s\nproperties:\n' "$(uname -m)" "$(date +%s)"
    printf '  os: "%s"\n  release: "%s"\n' "${archive%% *}" "$release"
    printf '  description: "%s"\n  bcm.recipe: "%s"\n' "$description" "$recipe"
    printf '  bcm.system: "%s"\n  bcm.packages: "%s"\n' "$version" "$(cat "$work/versions")"
    printf 'templates:\n'
    for file in hostname hosts; do
        printf '  /etc/%s:\n    when: [create, copy]\n    template: %s.tpl\n' "$file" "$file"
    done
} >"$work/metadata.yaml"
mkdir "$work/templates"
printf '{{ container.name }}\n' >"$work/templates/hostname.tpl"
printf '127.0.0.1\tlocalhost\n127.0.1.1\t{{ container.name }}\n\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$work/templates/hosts.tpl"
tar -C "$work" -czf "$work/metadata.tar.gz" metadata.yaml templates
mksquashfs "$work/root" "$work/rootfs.squashfs" -comp zstd -Xcompression-level 6 -noappend -quiet -no-progress >"$work/log" 2>&1
rm -rf --one-file-system "$work/root"

say 'importing'
# The client would leave its settings in root's home.
for variable in LXD_CONF INCUS_CONF; do export "$variable=$work/client"; done
mkdir "$work/client"
"$cli" image import "$work/metadata.tar.gz" "$work/rootfs.squashfs" --project "$project" >"$work/log" 2>&1
