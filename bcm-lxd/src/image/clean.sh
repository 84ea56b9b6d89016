# After packages.sh: gives back what building an image took of a machine.
base=/var/lib/bcm-host/image
# For the functions of packages.sh: the tools that are brought for this alone.
notes=$base/tools

clean() {
    rm -rf --one-file-system "$base"/work.*
    if [ -e "$notes" ]; then
        work_alone
        note_packages
        touch "$notes/packages"
        tools=$(dpkg-query -W -f '${Package}\n' | sort -u | comm -12 - "$notes/packages")
        # Those that something else came to need meanwhile stay.
        # shellcheck disable=SC2086
        goes=$(apt-get -s purge $tools | sed -n 's/^\(Purg\|Remv\) \([^ ]*\).*/\2/p' | sort -u)
        if [ "$goes" = "$tools" ]; then (purge_packages) || true; fi
        rm -rf "$notes"
        exec 9>&-
    fi
    rmdir "$base" "${base%/*}" 2>/dev/null || true
}
