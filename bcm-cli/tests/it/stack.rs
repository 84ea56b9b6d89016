//! `bcm stack`.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn a_cluster_is_not_there_yet() {
    assert_snapshot!(Sandbox::new().run("stack start"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: starting the stack on a cluster is not there yet
    hint: `bcm stack start --here` runs it on this machine, in this process
    ");
}

#[test]
fn the_demo_mirrors_verifies_and_ends() {
    let sandbox = Sandbox::new();
    let demo = "stack start --here --demo --once --http 127.0.0.1:0 --zdb 127.0.0.1:0";
    let output = sandbox
        .command(demo)
        .env("TMPDIR", sandbox.path(""))
        .output()
        .unwrap();
    let filters = vec![
        (r"127\.0\.0\.1:\d+", "[address]"),
        (r"\b\d+(\.\d+)? s\b", "[time]"),
        (r"bcm-demo-mirror\.\w+", "bcm-demo-mirror.[random]"),
        // Lines that only a slow machine writes: how far something has come that is not done.
        (
            r"(?m)^[a-z]+ing\b[a-z ]*: [\d,.]+( [KMG]?i?B)?( of [^\n]*| \([^\n()]*\))?\n",
            "",
        ),
    ];
    insta::with_settings!({filters => filters}, {
        assert_snapshot!(sandbox.shown(&output));
    });
    let left: Vec<_> = std::fs::read_dir(sandbox.path("")).unwrap().collect();
    assert!(left.is_empty(), "a demo cleans up after itself: {left:?}");
}

#[test]
fn a_demo_does_not_touch_a_real_mirror() {
    let sandbox = Sandbox::new();
    sandbox.write("data/hub/users/alice/a.flist", "precious");
    assert_snapshot!(sandbox.run("stack start --here --demo --once --data data"), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: [dir]/data holds something that no demo made
    hint: give a demonstration a folder of its own with --data
    ");
    assert_eq!(sandbox.read("data/hub/users/alice/a.flist"), "precious");
    // Nor one that only the environment names.
    let demo = "stack start --here --demo --once -q --http 127.0.0.1:0 --zdb 127.0.0.1:0";
    sandbox.command(demo).assert().success();
    assert!(!sandbox.path("data/hub/blocks").exists());
}
