//! A disk that fills up in the middle of a sync.

use std::process::{Command, Stdio};

use bcm_tests::bcm::{self, Running};
use bcm_tests::fixtures;
use bcm_tests::origin::Origin;
use bcm_tests::tree::Tree;

/// The arguments of `unshare` that give a process mounts of its own.
pub(crate) fn namespace() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--mount", "--user", "--map-root-user"]
    }
}

/// In a file system of its own, so small that the first whole sync cannot fit: what fits is
/// published, what was published stays whole, and once there is room the next sync goes on.
const SCRIPT: &str = r#"
set -eu
bcm=$1 upstream=$2 zdb=$3 disk=$4 out=$5
mount -t tmpfs -o size=1200k none "$disk"
run() {
    name=$1
    shift
    code=0
    "$bcm" hub "$@" --data "$disk/data" >"$out/$name.stdout" 2>"$out/$name.stderr" || code=$?
    echo "$name $code"
}
run some sync --upstream "$upstream" --upstream-zdb "$zdb" --repo tf-autobuilder
run full sync --upstream "$upstream" --upstream-zdb "$zdb"
run verify-full verify
cp -a "$disk/data/hub/users" "$out/users-full"
mount -o remount,size=256m "$disk"
run room sync --upstream "$upstream" --upstream-zdb "$zdb"
run verify-room verify
cp -a "$disk/data/hub/users" "$out/users-room"
"#;

pub(crate) fn loses_nothing() {
    let origin = Origin::recorded();
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, out) = (folder.path().join("disk"), folder.path().join("out"));
    std::fs::create_dir(&disk).expect("a folder");
    std::fs::create_dir(&out).expect("a folder");
    let mut command = Command::new("unshare");
    command
        .args(namespace())
        .args(["sh", "-c", SCRIPT, "sh"])
        .arg(bcm::program())
        .args([origin.url(), origin.zdb_url()])
        .args([&disk, &out])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    let ended = Running::start(command).finish(std::time::Duration::from_secs(120));
    let said = |name: &str| {
        let read = |kind: &str| std::fs::read_to_string(out.join(format!("{name}.{kind}")));
        let text = format!(
            "{}{}",
            read("stdout").unwrap_or_default(),
            read("stderr").unwrap_or_default()
        );
        format!("{ended}\n{text}")
    };
    let code = |name: &str| -> i32 {
        let mut lines = ended.stdout.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(n, _)| *n == name);
        found
            .and_then(|(_, code)| code.parse().ok())
            .unwrap_or_else(|| panic!("{}", said(name)))
    };
    assert_eq!(code("some"), 0, "{}", said("some"));
    assert!(matches!(code("full"), 1 | 3), "{}", said("full"));
    let full = said("full").to_lowercase();
    assert!(
        full.contains("no space left") || full.contains("full"),
        "{full}"
    );
    // To look into an flist takes room; that there is none is no damage.
    let verified = said("verify-full");
    assert!(matches!(code("verify-full"), 0 | 1), "{verified}");
    assert!(!verified.contains("damage was found"), "{verified}");
    let kept = Tree::of_folder(&out.join("users-full"));
    assert!(
        kept.0.contains_key("tf-autobuilder/bootstrap-260101.flist"),
        "{kept:?}"
    );
    assert_eq!(code("room"), 0, "{}", said("room"));
    assert_eq!(code("verify-room"), 0, "{}", said("verify-room"));
    Tree::of_tar(&fixtures::users_tar(), "users").assert_same(
        &Tree::of_folder(&out.join("users-room")),
        "once there was room",
    );
}
