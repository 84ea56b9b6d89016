//! `bcm stack`.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn without_a_cluster_there_is_nothing_to_start_a_stack_on() {
    assert_snapshot!(Sandbox::new().run("stack start --domain example.test"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: no cluster is in use
    hint: `bcm cluster create` makes one, `bcm cluster use NAME` chooses one
    ");
    assert_snapshot!(Sandbox::new().run("stack start nope"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: there is no stack nope; there are bootstrap, hub, mirror
    hint: a stack of your own is a file NAME.toml in [dir]/.config/bcm/stacks
    ");
    assert_snapshot!(Sandbox::new().run("stack start --here --domain example.test"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: the argument '--here' cannot be used with '--domain <DOMAIN>'

    Usage: bcm stack start --here [STACK]

    For more information, try '--help'.
    ");
}

#[test]
fn stacks_are_listed_with_what_is_wrong_with_them() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "stacks/hello.toml",
        "about = \"A page\"\n[[instance]]\nname = \"web\"\n",
    );
    sandbox.write(
        "stacks/bad.toml",
        "about = \"x\"\n[[instance]]\nnames = \"web\"\n",
    );
    sandbox.write(
        "stacks/circle.toml",
        "about = \"x\"\n[[instance]]\nname = \"a\"\nneeds = [\"a\"]\n",
    );
    assert_snapshot!(sandbox.run("stack list --stacks stacks"), @r#"
    exit code: 0
    --- stdout
    bad        yours     CANNOT BE USED: the manifest bad cannot be read: TOML parse error at line 3, column 1
    bootstrap  built in  A mirror of the Zero-OS Bootstrap behind TLS
    circle     yours     CANNOT BE USED: the manifest circle cannot be meant: these need each other in a circle: a → a
    hello      yours     A page
    hub        built in  A mirror of the Zero-OS Hub behind TLS
    mirror     built in  A mirror of the Zero-OS Hub and Bootstrap behind TLS
    your own are looked for in [dir]/stacks
    --- stderr
    "#);
    assert_snapshot!(sandbox.run("stack start circle --stacks stacks"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: the manifest circle cannot be meant: these need each other in a circle: a → a
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
