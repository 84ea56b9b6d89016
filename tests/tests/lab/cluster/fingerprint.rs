//! Everything about a machine that BCM could have changed.

use std::{collections::BTreeSet, time::Duration};

use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

/// How closely machines are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closely {
    /// Every file with the time of its change: for what must not touch anything.
    Untouched,
    /// What is there, and what settings say: for what was changed and taken back. A package
    /// manager's own books, caches and logs are its own.
    Restored,
}

/// One line for everything.
pub(super) type Fingerprint = BTreeSet<String>;

/// The journal and the books of logins are written by everybody who logs in; timers run on their
/// own.
const SCRIPT: &str = r#"
cd /
LC_ALL=C
export LC_ALL
prune() { printf ' -path %s -prune -o' "$@"; }
skipped="./proc ./sys ./dev ./run ./var/log/journal ./var/log/wtmp ./var/log/btmp ./var/log/lastlog
    ./var/lib/systemd ./var/lib/private ./var/tmp/systemd-private-* ./tmp/systemd-private-*"
times='%s %T@'
if [ "$1" = restored ]; then
    skipped="$skipped ./var/lib/apt ./var/lib/dpkg ./var/cache/apt/*.bin
        ./var/cache/apt/archives/lock ./var/cache/apt/archives/partial ./var/cache/ldconfig ./var/cache/debconf ./etc/ld.so.cache
        ./var/log/apt ./var/log/dpkg.log ./var/log/alternatives.log
        ./etc/passwd- ./etc/group- ./etc/shadow- ./etc/gshadow- ./etc/subuid- ./etc/subgid-"
    times=
    # A dependency that was there may have been brought up to date.
    dpkg-query -W -f 'package ${db:Status-Abbrev} ${Package}\n'
    find etc -type f -not -name '*-' -not -name ld.so.cache -exec sha256sum {} + | sed 's/^/content /'
else
    dpkg-query -W -f 'package ${db:Status-Abbrev} ${Package} ${Version}\n'
fi
set -f
# shellcheck disable=SC2046,SC2086
find . $(prune $skipped) -type f -printf "file %p %m %U:%G $times\n" \
    -o -type d -printf 'folder %p %m %U:%G\n' -o -printf 'other %p %y %l\n'
ls /sys/class/net | sed 's/^/interface /'
nft list tables | sed 's/^/rules /'
cut -d' ' -f2,3 /proc/mounts | grep -Ev '^(/run/user|/run/credentials)' | sed 's/^/mounted /'
for table in /proc/net/tcp /proc/net/tcp6; do
    awk '$4 == "0A" { print "listens " $2 }' "$table"
done
cat /proc/[0-9]*/comm 2>/dev/null | sort -u |
    grep -vE '^(sshd|sudo|sh|cat|sort|grep|sed|find|awk|systemd|\(sd-pam\)|systemd-.*|apt.*)$' |
    sed 's/^/process /'
systemctl list-units --failed --plain --no-legend | sed 's/^/failed /'
"#;

/// Takes it.
pub(super) fn fingerprint(machine: &Machine, closely: Closely) -> Result<Fingerprint, Failed> {
    let mode = match closely {
        Closely::Untouched => "untouched",
        Closely::Restored => "restored",
    };
    let script = format!("set -- {mode}\n{SCRIPT}");
    let text = machine.root_script(&script, Duration::from_secs(120))?;
    let lines: Fingerprint = text.lines().map(str::to_owned).collect();
    // A script that finds nothing would find nothing changed.
    assert!(lines.len() > 3000, "only {} lines", lines.len());
    Ok(lines)
}

/// Fails with what differs.
pub(super) fn same(
    machine: &Machine,
    before: &Fingerprint,
    after: &Fingerprint,
) -> Result<(), Failed> {
    let gone: Vec<_> = before.difference(after).take(40).collect();
    let new: Vec<_> = after.difference(before).take(40).collect();
    if gone.is_empty() && new.is_empty() {
        return Ok(());
    }
    Err(format!("{} changed\ngone: {gone:#?}\nnew: {new:#?}", machine.name()).into())
}
