//! The disk fills up at any step of a sync, of restoring a snapshot, of a collection of garbage.

use std::process::{Command, Stdio};

use bcm_tests::bcm::{self, Running};
use bcm_tests::kill_points::{change, origin, points, spread, steps};
use bcm_tests::tree::Tree;

use super::full_disk::namespace;

/// In a file system of its own: a sync, or after one a restored snapshot or a collection of
/// garbage, during which it fills up at a step; and, once there is room again, a verification, the
/// same again, and another verification.
const SCRIPT: &str = r#"
set -eu
bcm=$1 program=$2 step=$3 upstream=$4 zdb=$5 disk=$6 out=$7 work=$8
upstream_before=$9 zdb_before=${10}
mount -t tmpfs -o size=12m none "$disk"
if [ "$work" != sync ]; then
    "$program" 0 nothing sync "$disk/data" "$upstream_before" "$zdb_before"
    "$program" 0 nothing sync "$disk/data" "$upstream" "$zdb"
fi
"$program" "$step" full "$work" "$disk/data" "$upstream" "$zdb"
"$bcm" hub verify --data "$disk/data"
"$program" 0 nothing "$work" "$disk/data" "$upstream" "$zdb"
"$bcm" hub verify --data "$disk/data"
cp -a "$disk/data/hub/users" "$out"
"#;

pub(crate) fn loses_nothing_at_any_step() {
    for work in ["sync", "restore", "gc"] {
        points_of(work);
    }
}

fn points_of(work: &str) {
    let program = env!("CARGO_BIN_EXE_sync_until");
    let (before, after) = (origin(), origin());
    if work != "sync" {
        after.edit(change);
    }
    let counted = tempfile::tempdir().expect("a folder");
    let data = counted.path().join("data");
    if work != "sync" {
        steps(program, "sync", &data, &before);
        steps(program, "sync", &data, &after);
    }
    let last = steps(program, work, &data, &after) * 9 / 10;
    let chosen = spread(points() / 2, last);
    let mut full = 0;
    for step in &chosen {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, out) = (folder.path().join("disk"), folder.path().join("out"));
        std::fs::create_dir(&disk).expect("a folder");
        let mut command = Command::new("unshare");
        command
            .args(namespace())
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(bcm::program())
            .args([program, &step.to_string(), &after.url(), &after.zdb_url()])
            .args([&disk, &out])
            .args([work, &before.url(), &before.zdb_url()])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null());
        let ended = Running::start(command).finish(std::time::Duration::from_secs(300));
        let point = format!("{work}, full at step {step} of {last}: {ended}");
        assert_eq!(ended.code(), 0, "{point}");
        full += u64::from(ended.stdout.contains("no room left") || ended.stdout.contains("failed"));
        let expected = tempfile::tempdir().expect("a folder");
        let upstream = if work == "restore" { &before } else { &after };
        upstream.edit(|users| users.write_to(expected.path()));
        Tree::of_folder(expected.path()).assert_same(&Tree::of_folder(&out), &point);
    }
    println!(
        "disk full, {work}: {} points of {last} steps, {full} ended there, 0 losses",
        chosen.len()
    );
    assert!(full > 0 || work == "gc", "the disk was never full");
}
