//! `bcm config`, `bcm info`, and what is wrong with a `bcm.toml`.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn info_says_what_is_in_use() {
    let sandbox = Sandbox::new();
    insta::with_settings!({filters => vec![(r"\(linux \w+\)", "(linux [cpu])")]}, {
        assert_snapshot!(sandbox.run("info"));
    });
    let json: serde_json::Value = serde_json::from_slice(
        &sandbox
            .command("info --output json")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["data_from"], "environment");
    assert_eq!(json["mirror"], false);
}

#[test]
fn get_shows_values_and_their_origins() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "bcm.toml",
        "[hub]\nupstream = [\"http://a.test\", \"http://b.test\"]\n\
         upstream-zdb = \"zdb://:secret@a.test:9900/default\"\n",
    );
    assert_snapshot!(sandbox.run("config get"));
    assert_snapshot!(sandbox.run("config get hub.upstream"), @r"
    exit code: 0
    --- stdout
    http://a.test
    http://b.test
    --- stderr
    ");
    assert_snapshot!(sandbox.run("config get hub.upstream --output json"), @r#"
    exit code: 0
    --- stdout
    {
      "key": "hub.upstream",
      "value": [
        "http://a.test",
        "http://b.test"
      ],
      "from": "file"
    }
    --- stderr
    "#);
}

#[test]
fn set_keeps_what_a_person_wrote() {
    let sandbox = Sandbox::new();
    sandbox.write("bcm.toml", "# mine\n[hub]\nparallel = 2 # slow line\n");
    assert_snapshot!(sandbox.run("config set hub.parallel 4"), @r"
    exit code: 0
    --- stdout
    --- stderr
    set `hub.parallel` in [dir]/bcm.toml
    ");
    assert_snapshot!(sandbox.run("config set hub.repo tf-* alice.3bot -q"), @r"
    exit code: 0
    --- stdout
    --- stderr
    ");
    assert_eq!(
        sandbox.read("bcm.toml"),
        "# mine\n[hub]\nparallel = 4 # slow line\nrepo = [\"tf-*\", \"alice.3bot\"]\n"
    );
}

#[test]
fn set_without_a_file_makes_the_users_own() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run("config set hub.max-delete 50% --dry-run"), @r#"
    exit code: 0
    --- stdout
    [hub]
    max-delete = "50%"
    --- stderr
    "#);
    assert!(!sandbox.path(".config").exists());
    sandbox
        .command("config set hub.max-delete 50%")
        .assert()
        .success();
    assert_eq!(
        sandbox.read(".config/bcm/bcm.toml"),
        "[hub]\nmax-delete = \"50%\"\n"
    );
    assert_snapshot!(sandbox.run("config path"), @r"
    exit code: 0
    --- stdout
    [dir]/.config/bcm/bcm.toml
    --- stderr
    ");
}

#[test]
fn set_refuses_what_would_not_be_read_again() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run("config set hub.max-delete 120%"), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: `hub.max-delete`: "120%" is not a share from 0% to 100% (or 0.0 to 1.0)
    "#);
    assert_snapshot!(sandbox.run("config set hub.uptream http://a.test"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: there is no setting `hub.uptream`
    hint: did you mean `hub.upstream`?
    ");
    assert_snapshot!(sandbox.run("config set hub.parallel 1 2"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: `hub.parallel` takes a whole number, not 2 values
    ");
}

#[test]
fn mistakes_in_the_file_are_pointed_at() {
    let sandbox = Sandbox::new();
    sandbox.write("bcm.toml", "[hub]\n  upsteam = [\"http://a.test\"]\n");
    assert_snapshot!(sandbox.run("info"), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: [dir]/bcm.toml:2:3: unknown key `hub.upsteam`
      |
    2 |   upsteam = ["http://a.test"]
      |   ^^^^^^^
    hint: did you mean `hub.upstream`?
    "#);
    assert_snapshot!(sandbox.run("info --output json"), @r#"
    exit code: 2
    --- stdout
    --- stderr
    {"event":"error","message":"[dir]/bcm.toml:2:3: unknown key `hub.upsteam`","causes":[],"hint":"did you mean `hub.upstream`?","exit_code":2}
    "#);
    sandbox.write("bcm.toml", "[hub]\nparallel = \"8\"\n");
    assert_snapshot!(sandbox.run("info"), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: [dir]/bcm.toml:2:12: `hub.parallel` takes a whole number, not a string
      |
    2 | parallel = "8"
      |            ^^^
    "#);
    sandbox.write("bcm.toml", "data = '/a'\ndata = '/b'\n");
    assert_snapshot!(sandbox.run("info"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: [dir]/bcm.toml:2:1: duplicate key
      |
    2 | data = '/b'
      | ^^^^
    ");
}

#[test]
fn a_named_file_has_to_be_there() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run("info --config missing.toml"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: could not read [dir]/missing.toml
      because: No such file or directory (os error 2)
    hint: --config or BCM_CONFIG names a file that has to be there
    ");
}

#[test]
fn variables_are_checked_and_slips_are_seen() {
    let sandbox = Sandbox::new();
    let output = sandbox
        .command("config get hub.parallel")
        .env("BCM_HUB_PARALEL", "3")
        .output()
        .unwrap();
    assert_snapshot!(sandbox.shown(&output), @r"
    exit code: 0
    --- stdout
    16
    --- stderr
    warning: the variable BCM_HUB_PARALEL means nothing to bcm; did you mean BCM_HUB_PARALLEL?
    ");
    let output = sandbox
        .command("config get hub.parallel")
        .env("BCM_HUB_PARALLEL", "none")
        .output()
        .unwrap();
    assert_snapshot!(sandbox.shown(&output), @r#"
    exit code: 2
    --- stdout
    --- stderr
    error: BCM_HUB_PARALLEL: "none" is not a whole number from 1 to 256
    "#);
}

#[test]
fn pins_are_added_listed_and_taken_out_of_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write("bcm.toml", "# mine\n[hub]\nparallel = 2 # slow line\n");
    assert_snapshot!(sandbox.run("hub pin"));
    assert_snapshot!(sandbox.run("hub pin tf-zos alice/*.flist --dry-run"));
    assert_eq!(
        sandbox.read("bcm.toml"),
        "# mine\n[hub]\nparallel = 2 # slow line\n"
    );
    assert_snapshot!(sandbox.run("hub pin tf-zos alice/*.flist"));
    assert_snapshot!(sandbox.run("hub pin tf-zos --output json"));
    assert_snapshot!(sandbox.run("hub unpin tf-zos"));
    assert_eq!(
        sandbox.read("bcm.toml"),
        "# mine\n[hub]\nparallel = 2 # slow line\npin = [\"alice/*.flist\"]\n"
    );
    assert_snapshot!(sandbox.run("hub unpin tf-zos"));
    assert_snapshot!(sandbox.run("hub pin ["));
}
