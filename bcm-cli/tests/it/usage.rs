//! What is typed wrongly, and readers that go away.

use std::process::Stdio;

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn nothing_typed_shows_help_and_is_usage() {
    assert_snapshot!(Sandbox::new().run(""));
}

#[test]
fn help_names_every_command() {
    assert_snapshot!(Sandbox::new().run("--help"));
}

#[test]
fn each_command_documents_its_flags() {
    let sandbox = Sandbox::new();
    for command in [
        "hub sync",
        "hub serve",
        "hub publish",
        "hub token create",
        "stack start",
    ] {
        assert_snapshot!(
            format!("help_of_{}", command.replace(' ', "_")),
            sandbox.run(&format!("{command} --help"))
        );
    }
}

#[test]
fn wrong_flags_and_values_are_usage() {
    let sandbox = Sandbox::new();
    for (arguments, part) in [
        ("hub sync --paralel 3", "--parallel"),
        (
            "hub sync --parallel 0",
            "\"0\" is not a whole number from 1 to 256",
        ),
        (
            "hub sync --max-delete 120%",
            "is not a share from 0% to 100%",
        ),
        ("hub sync --delete-after soon", "is not a time such as 90s"),
        (
            "hub sync --upstream ftp://x",
            "does not begin with http:// or https://",
        ),
        ("hub sync --repo [", "unclosed"),
        ("hub serve --http 8080", "is not an address such as :8080"),
        ("hub snyc", "sync"),
    ] {
        let output = sandbox.command(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(part), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("bcm"))
        .args(["completions", "bash"])
        .env_clear()
        .env("HOME", sandbox.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}
