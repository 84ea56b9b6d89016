//! The scripts that run in instances, run here with stand-ins for what they call.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

const SWAP: &str = include_str!("swap.sh");
const ROLLBACK: &str = include_str!("rollback.sh");
const HEALTH: &str = include_str!("health.sh");

struct Instance(tempfile::TempDir);

impl Instance {
    /// One whose commands are as `commands` say, beside those that do nothing but note how they were called.
    fn new(commands: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let instance = Self(folder);
        for name in ["systemctl", "systemd-sysusers", "chown"] {
            instance.command(name, "echo \"${0##*/} $*\" >> \"${0%/*}/../called\"");
        }
        for (name, script) in commands {
            instance.command(name, script);
        }
        instance
    }

    fn command(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        let here = self.0.path().display().to_string();
        let path = format!("{here}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut command = Command::new("bash");
        command.args(["-c", script, "script"]).env("PATH", path);
        for argument in arguments {
            command.arg(argument.replace('~', &here));
        }
        command.output().unwrap()
    }
}

const TWO: &[&str] = &[
    "files:",
    "~/a b",
    "644",
    "root",
    "~/new.service",
    "600",
    "root",
    "folders:",
    "restart:",
    "new.service",
    "reload:",
    "enable:",
    "new.service",
];

const BACK: &[&str] = &[
    "files:",
    "~/a b",
    "~/new.service",
    "restart:",
    "old.service",
    "new:",
    "new.service",
];

fn with_two(commands: &[(&str, &str)]) -> Instance {
    let instance = Instance::new(commands);
    instance.write("a b", "good");
    instance.write("a b.bcm-new", "bad");
    instance.write("new.service.bcm-new", "unit");
    instance
}

#[test]
fn what_was_put_there_is_taken_back() {
    let instance = with_two(&[]);
    let ended = instance.run(SWAP, TWO);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(instance.read("a b").as_deref(), Some("bad"));
    assert_eq!(instance.read("new.service").as_deref(), Some("unit"));
    let ended = instance.run(ROLLBACK, BACK);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(instance.read("a b").as_deref(), Some("good"));
    assert_eq!(instance.read("new.service"), None);
    let called = instance.read("called").unwrap();
    assert!(
        called.contains("disable --quiet --now new.service"),
        "{called}"
    );
    assert!(called.ends_with("restart old.service\n"), "{called}");
    let left = fs::read_dir(instance.0.path()).unwrap();
    let left = left.filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".bcm-")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn after_a_run_that_was_cut_off_what_was_good_is_still_known() {
    let instance = with_two(&[]);
    assert!(instance.run(SWAP, TWO).status.success());
    instance.write("a b.bcm-new", "worse");
    instance.write("new.service.bcm-new", "worse");
    assert!(instance.run(SWAP, TWO).status.success());
    assert!(instance.run(ROLLBACK, BACK).status.success());
    assert_eq!(instance.read("a b").as_deref(), Some("good"));
    assert_eq!(instance.read("new.service"), None);
}

#[test]
fn what_was_not_changed_is_not_taken_away() {
    // As where the disk is full, or the command never began.
    for commands in [
        &[("cp", "head -c 1 \"$2\" > \"$3\"; exit 1")][..],
        &[("mv", "exit 1")],
    ] {
        let instance = with_two(commands);
        assert!(!instance.run(SWAP, TWO).status.success());
        assert_eq!(instance.read("a b").as_deref(), Some("good"));
        fs::remove_file(instance.path("bin").join(commands[0].0)).unwrap();
        assert!(instance.run(ROLLBACK, BACK).status.success());
        assert_eq!(instance.read("a b").as_deref(), Some("good"));
    }
    let instance = with_two(&[]);
    assert!(instance.run(ROLLBACK, BACK).status.success());
    assert_eq!(instance.read("a b").as_deref(), Some("good"));
}

#[test]
fn a_folder_is_not_replaced() {
    let instance = with_two(&[]);
    fs::create_dir(instance.path("new.service")).unwrap();
    let ended = instance.run(SWAP, TWO);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("new.service is a folder"), "{said}");
    assert!(instance.run(ROLLBACK, BACK).status.success());
    assert_eq!(instance.read("a b").as_deref(), Some("good"));
    assert!(instance.path("new.service").is_dir());
}

#[test]
fn a_timer_that_is_not_there_yet_is_waited_for() {
    let systemctl = "[ \"$1\" = is-active ] && echo activating; exit 0";
    let instance = Instance::new(&[("systemctl", systemctl)]);
    let ended = instance.run(HEALTH, &["-", "-", "x.timer"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let systemctl = "[ \"$1\" = is-active ] && echo activating || echo 5";
    let instance = Instance::new(&[("systemctl", systemctl)]);
    let ended = instance.run(HEALTH, &["-", "-", "x.service"]);
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
}
