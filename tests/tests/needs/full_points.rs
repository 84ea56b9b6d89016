//! The disk fills up at any step of a sync.

use std::process::{Command, Stdio};

use bcm_tests::bcm::{self, Running};
use bcm_tests::kill_points::{origin, points, spread, steps};
use bcm_tests::tree::Tree;

use super::full_disk::namespace;

/// In a file system of its own: a sync during which it fills up at a step, and, once there is room
/// again, a verification, another sync, and another verification.
const SCRIPT: &str = r#"
set -eu
bcm=$1 program=$2 step=$3 upstream=$4 zdb=$5 disk=$6 out=$7
mount -t tmpfs -o size=12m none "$disk"
"$program" "$step" full "$disk/data" "$upstream" "$zdb" all
"$bcm" hub verify --data "$disk/data"
"$program" 0 nothing "$disk/data" "$upstream" "$zdb" all
"$bcm" hub verify --data "$disk/data"
cp -a "$disk/data/hub/users" "$out"
"#;

pub(crate) fn loses_nothing_at_any_step() {
    let program = env!("CARGO_BIN_EXE_sync_until");
    let counted = tempfile::tempdir().expect("a folder");
    let last = steps(program, &counted.path().join("data"), &origin()) * 9 / 10;
    let chosen = spread(points() / 2, last);
    let mut full = 0;
    for step in &chosen {
        let origin = origin();
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, out) = (folder.path().join("disk"), folder.path().join("out"));
        std::fs::create_dir(&disk).expect("a folder");
        let mut command = Command::new("unshare");
        command
            .args(namespace())
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(bcm::program())
            .args([program, &step.to_string(), &origin.url(), &origin.zdb_url()])
            .args([&disk, &out])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null());
        let ended = Running::start(command).finish(std::time::Duration::from_secs(120));
        let point = format!("full at step {step} of {last}: {ended}");
        assert_eq!(ended.code(), 0, "{point}");
        full += u64::from(ended.stdout.contains("no room left"));
        let expected = tempfile::tempdir().expect("a folder");
        origin.edit(|users| users.write_to(expected.path()));
        Tree::of_folder(expected.path()).assert_same(&Tree::of_folder(&out), &point);
    }
    println!(
        "disk full, a sync from nothing: {} points of {last} steps, {full} syncs ended there, 0 losses",
        chosen.len()
    );
    assert!(full > 0, "the disk was never full");
}
