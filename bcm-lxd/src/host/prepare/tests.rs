use std::process::{Command, Stdio};

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4dXc9C1hJqk0xQ4hS1dF0cW1VdVdVdVdVdVdVdVdVd me@home";

#[test]
fn scripts_are_whole_for_a_posix_shell() {
    let mut spec = PrepareSpec::new(vec![KEY.parse().unwrap(), KEY.parse().unwrap()]);
    spec.unattended_upgrades = true;
    let key = bcm_ssh::onion::ClientKey::generate().unwrap();
    spec.onion = Some(OnionSpec {
        client: key.public(),
        given: true,
        replace: false,
    });
    assert!(!spec.script().contains(&**key.reveal()));
    for script in [spec.script(), PrepareSpec::undo_script()] {
        let mut shell = Command::new("sh")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut shell.stdin.take().unwrap(), script.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn what_a_script_says_is_understood() {
    let (prepared, refused) =
        parse("did\tinstall sudo\nkept\tthe group lxd\nnoise\nrefused\tbroken: line 3\nline 4\n");
    assert_eq!(prepared.changes, ["install sudo"]);
    assert_eq!(prepared.kept, ["the group lxd"]);
    let (prepared, _) = parse("client\tkept\n");
    assert_eq!(prepared.client, Some(OnionClient::Kept));
    assert_eq!(refused.unwrap(), "broken: line 3\nline 4");
}

#[test]
fn a_package_that_is_half_there_was_there_before() {
    // Debian's package manager, dpkg-query(1): what is wanted, what is, and an error.
    let answers = "ii  whole\niF  half-configured\niU  unpacked\niHR broken\nhi  held\n\
                   rc  removed\nun  unknown\nin  not-installed\n";
    // A function cannot have that name.
    let packages = PACKAGES.replace("dpkg-query", "dpkg_query");
    let script = format!("{packages}\ndpkg_query() {{ printf '{answers}'; }}\npackages_there");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "broken\nhalf-configured\nheld\nunpacked\nwhole\n"
    );
}
