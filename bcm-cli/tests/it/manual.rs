//! `bcm completions` and `bcm man`.

use crate::sandbox::Sandbox;

#[test]
fn every_shell_gets_a_script() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = sandbox
            .command(&format!("completions {shell}"))
            .output()
            .unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(script.contains("delete-after"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let sandbox = Sandbox::new();
    let output = sandbox.command("man").output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH bcm 1"), "{page}");
    sandbox.command("man pages").assert().success();
    for page in [
        "bcm.1",
        "bcm-hub-sync.1",
        "bcm-stack-start.1",
        "bcm-config-set.1",
    ] {
        assert!(sandbox.path("pages").join(page).is_file(), "{page}");
    }
}
