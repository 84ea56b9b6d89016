//! Clusters of virtual machines, where none can be made.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

/// Runs with a program that greets as QEMU of that version does, and does nothing else.
fn with_qemu(sandbox: &Sandbox, version: (u32, u32), arguments: &str) -> String {
    let (major, minor) = version;
    let greeting =
        format!(r#"{{"QMP":{{"version":{{"qemu":{{"major":{major},"minor":{minor}}}}}}}}}"#);
    let program = sandbox.write(
        "bin/qemu-system-x86_64",
        &format!("#!/bin/sh\necho '{greeting}'\n"),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
    let output = sandbox.command(arguments).env("PATH", path).output();
    sandbox.shown(&output.unwrap())
}

#[test]
fn a_plan_names_the_machines_and_makes_none() {
    let sandbox = Sandbox::new();
    assert_snapshot!(
        sandbox.run("cluster plan --driver vm --name home --count 2 --memory 4G"),
        @"
    exit code: 0
    --- stdout
    would: make the virtual machine home-node1 with QEMU: 2 processors, 4096 MiB of memory, a disk of 10 GiB
    would: make the virtual machine home-node2 with QEMU: 2 processors, 4096 MiB of memory, a disk of 10 GiB
    2 changes; nothing was done
    --- stderr
    "
    );
    assert!(!sandbox.path(".local").exists());
}

#[test]
fn without_anything_that_makes_them_it_says_what_to_install() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run("cluster create --driver vm");
    assert!(shown.starts_with("exit code: 1\n"), "{shown}");
    assert!(shown.contains("apt-get install qemu-system-x86"), "{shown}");
    let shown = sandbox.run("cluster create --driver vm --vm-provider multipass");
    assert!(shown.starts_with("exit code: 1\n"), "{shown}");
    let shown = with_qemu(&sandbox, (6, 2), "cluster create --driver vm");
    assert!(shown.contains("QEMU 6.2 is too old"), "{shown}");
    assert!(!sandbox.path(".local/state/bcm/vms/bcm").exists());
}

#[test]
fn what_cannot_be_meant_is_said_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let sha = "0".repeat(64);
    for (arguments, said) in [
        ("--driver vm --count 0", "has 1 to 16 of them"),
        ("--driver vm --count 17", "has 1 to 16 of them"),
        (
            "--driver vm --host a",
            "leave --host and [[cluster.member]] away",
        ),
        (
            "--driver ssh --host a --count 3",
            "--count is for virtual machines",
        ),
        (
            "--driver vm --vm-image https://x.test/i.img",
            "give its SHA-256",
        ),
        (
            &format!("--driver vm --vm-image-sha256 {sha}"),
            "of which image?",
        ),
        ("--driver vm --vm-image-sha256 abc", "64"),
        ("--driver vm --memory 100M", "too few"),
        ("--driver vm --cpus 0", "at least one processor"),
        (
            "--driver vm --name under_score",
            "has only letters, digits and hyphens",
        ),
        (
            "--driver vm --bridge name-that-is-too-long",
            "at most 15 bytes",
        ),
        (
            "--driver vm --vm-image i --vm-provider multipass",
            "images of its own",
        ),
    ] {
        let shown = sandbox.run(&format!("cluster create {arguments}"));
        assert!(shown.starts_with("exit code: 2\n"), "{arguments}: {shown}");
        assert!(shown.contains(said), "{arguments}: {shown}");
    }
    assert!(!sandbox.path(".local/state/bcm/vms").exists());
}

#[test]
fn an_image_that_is_none_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("image", "<html>not found</html>");
    let sha = "0".repeat(64);
    for (arguments, code, said) in [
        (
            "--vm-image nothing",
            1,
            "could not read the image [dir]/nothing",
        ),
        ("--vm-image image", 2, "it is no disk that boots"),
        (
            &format!("--vm-image image --vm-image-sha256 {sha}"),
            2,
            "is not what was asked for",
        ),
        ("--memory 4096G", 2, "of memory, and this one has"),
        ("--disk 4096T", 1, "make room"),
    ] {
        let arguments = format!("cluster create --driver vm --vm-provider qemu {arguments}");
        let shown = with_qemu(&sandbox, (7, 2), &arguments);
        let code = format!("exit code: {code}\n");
        assert!(shown.starts_with(&code), "{arguments}: {shown}");
        assert!(shown.contains(said), "{arguments}: {shown}");
    }
    // Nothing that could be taken for a cluster.
    assert!(!sandbox.path(".local/state/bcm/vms/bcm").exists());
}

#[test]
fn what_the_file_says_is_checked() {
    let sandbox = Sandbox::new();
    let plan = |vm: &str| {
        sandbox.write(
            "bcm.toml",
            &format!("[cluster]\ndriver = \"vm\"\n[cluster.vm]\n{vm}\n"),
        );
        sandbox.run("cluster plan")
    };
    let shown = plan("count = 3\nmemory = \"1G\"");
    assert!(
        shown.contains("bcm-node3 with QEMU: 2 processors, 1024 MiB"),
        "{shown}"
    );
    for (vm, said) in [
        ("memory = \"much\"", "memory: \"much\" is not a size"),
        ("provider = \"xen\"", "auto, multipass, qemu"),
        ("disc = 1", "unknown field `disc`"),
    ] {
        let shown = plan(vm);
        assert!(shown.starts_with("exit code: 2\n"), "{shown}");
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn what_was_begun_is_found_and_taken_away() {
    let sandbox = Sandbox::new();
    sandbox.write(".local/state/bcm/vms/home/.node1/disk", "half of it");
    assert_snapshot!(sandbox.run("cluster destroy --yes --cluster home"), @"
    exit code: 0
    --- stdout
    removed virtual machine home-node1
    --- stderr
    ");
    assert!(!sandbox.path(".local/state/bcm/vms").exists());
    let again = sandbox.run("cluster destroy --yes --cluster home");
    assert!(again.starts_with("exit code: 2\n"), "{again}");
}

#[test]
fn only_virtual_machines_are_started_and_stopped() {
    let sandbox = Sandbox::new();
    for command in ["start", "stop"] {
        let shown = sandbox.run(&format!("cluster {command}"));
        assert!(shown.contains("no cluster is in use"), "{shown}");
        let shown = sandbox.run(&format!("cluster {command} --cluster home"));
        assert!(shown.contains("there is no cluster home"), "{shown}");
    }
    sandbox.write(
        ".local/state/bcm/clusters.json",
        r#"{"active":"home","clusters":{"home":{"engine":"lxd","hosts":["a"]}}}"#,
    );
    let shown = sandbox.run("cluster stop");
    assert!(
        shown.contains("no virtual machines that BCM made"),
        "{shown}"
    );
    let shown = sandbox.run("cluster create --driver vm --name home");
    assert!(shown.contains("there is a cluster home already"), "{shown}");
}
