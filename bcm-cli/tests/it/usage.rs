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
