//! `bcm flist`: there and back again.

use std::os::unix::fs::symlink;

use crate::sandbox::Sandbox;

/// Runs a command that has to end with `code`, and gives stdout and stderr.
fn run(sandbox: &Sandbox, arguments: &str, code: i32) -> (String, String) {
    let output = sandbox.command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    (stdout, stderr)
}

fn packed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("tree/etc/motd", "welcome\n");
    sandbox.write("tree/numbers", &"0123456789".repeat(60_000));
    symlink("etc/motd", sandbox.path("tree/link")).unwrap();
    let pack =
        "flist pack tree --out x.flist --backend hub.example.test/files --meta entrypoint=/x";
    let (stdout, _) = run(&sandbox, pack, 0);
    assert!(
        stdout.contains("2 files") && stdout.contains("3 new in"),
        "{stdout}"
    );
    sandbox
}

#[test]
fn what_is_packed_unpacks_to_the_same_tree() {
    let sandbox = packed();
    let (stdout, _) = run(&sandbox, "flist unpack x.flist --to again", 0);
    assert!(stdout.contains("2 files"), "{stdout}");
    for file in ["etc/motd", "numbers", "link"] {
        assert_eq!(
            sandbox.read(&format!("again/{file}")),
            sandbox.read(&format!("tree/{file}"))
        );
    }
    // Names, modes, owners and times are the same too, for packing it gives the same bytes.
    run(
        &sandbox,
        "flist pack again --out y.flist --backend hub.example.test/files --meta entrypoint=/x",
        0,
    );
    let bytes = |name| std::fs::read(sandbox.path(name)).unwrap();
    assert_eq!(bytes("x.flist"), bytes("y.flist"));
    let (_, stderr) = run(&sandbox, "flist unpack x.flist --to again", 1);
    assert!(stderr.contains("is not empty"), "{stderr}");
}

#[test]
fn listings_look_as_those_of_ls_and_are_json_too() {
    let sandbox = packed();
    let (stdout, _) = run(&sandbox, "flist ls x.flist", 0);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[0].starts_with('d') && lines[0].ends_with(" /etc"),
        "{stdout}"
    );
    assert!(
        lines[1].starts_with('-') && lines[1].ends_with(" /etc/motd"),
        "{stdout}"
    );
    assert!(lines[2].ends_with(" /link -> etc/motd"), "{stdout}");
    let (stdout, _) = run(&sandbox, "flist ls x.flist numbers --output json", 0);
    let entries: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(entries[0]["size"], 600_000);
    assert_eq!(entries[0]["blocks"], 2);
    run(&sandbox, "flist ls x.flist nothing", 2);
}

#[test]
fn inspect_says_whether_the_blocks_are_here() {
    let sandbox = packed();
    let (stdout, _) = run(&sandbox, "flist inspect x.flist --data data", 0);
    for part in [
        "zdb://hub.example.test:9900/files",
        "3 of 3 blocks",
        "entrypoint",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let (stdout, _) = run(&sandbox, "flist inspect x.flist --data elsewhere", 4);
    assert!(stdout.contains("0 of 3 blocks"), "{stdout}");
    let (_, stderr) = run(&sandbox, "flist unpack x.flist --to d --data elsewhere", 1);
    assert!(
        stderr.contains("--from") && !sandbox.path("d").exists(),
        "{stderr}"
    );
}

#[test]
fn what_is_no_flist_and_what_is_too_much_is_refused() {
    let sandbox = packed();
    sandbox.write("page.flist", "<html>404</html>");
    let (_, stderr) = run(&sandbox, "flist ls page.flist", 1);
    assert!(stderr.contains("looks like an HTML page"), "{stderr}");
    let (_, stderr) = run(&sandbox, "flist inspect x.flist --limit entries=2", 1);
    assert!(stderr.contains("exceeds the limit of 2"), "{stderr}");
    let (_, stderr) = run(&sandbox, "flist ls x.flist --limit entires=2", 2);
    assert!(stderr.contains("entries"), "{stderr}");
}
