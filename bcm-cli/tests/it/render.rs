//! What `bcm stack render` writes.

use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

#[test]
fn a_project_for_compose_has_the_operators_settings_and_no_password_that_others_can_read() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "bcm.toml",
        "[stack]\ndomain = \"example.test\"\ncertificates = \"internal\"\n\
         [hub]\nrepo = [\"tf-*\", \"alice\"]\nupstream-zdb = \"zdb://:secret@hub.test:9900/ns\"\n",
    );
    insta::assert_snapshot!(sandbox.run("stack render compose --out out --dry-run"));
    assert!(!sandbox.path("out").exists());
    let shown = sandbox.run("stack render compose --out out");
    assert!(shown.starts_with("exit code: 0\n"), "{shown}");
    for name in [
        "compose.yaml",
        "Dockerfile",
        ".env",
        "mirror.env",
        "Caddyfile",
        "README.md",
    ] {
        let content = sandbox.read(&format!("out/{name}"));
        assert_eq!(content.contains("secret"), name == "mirror.env", "{name}");
        let snapshot = format!("compose_{}", name.trim_start_matches('.'));
        insta::assert_snapshot!(snapshot, content);
    }
    let mode = |name: &str| sandbox.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out/mirror.env"), mode("out/bcm")), (0o600, 0o755));
    let again = sandbox.run("stack render compose --out out");
    assert!(
        !again.contains("created") && !again.contains("replaced"),
        "{again}"
    );
}

#[test]
fn units_for_systemd_name_the_folder_and_the_certificates() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(
        "stack render systemd --out out --domain example.test --folder /data/mirror \
         --certificates files --certificate /etc/chain.pem --key /etc/key.pem",
    );
    insta::assert_snapshot!(shown);
    for name in [
        "bcm.service",
        "bcm-gc.service",
        "bcm.sysusers",
        "bcm.env",
        "Caddyfile",
    ] {
        insta::assert_snapshot!(
            format!("systemd_{name}"),
            sandbox.read(&format!("out/{name}"))
        );
    }
}

#[test]
fn what_does_not_go_together_is_usage() {
    let sandbox = Sandbox::new();
    for args in [
        "compose --out out",
        "compose --out out --domain example.test --base two words",
        "compose --out out --domain example.test --base $(x)",
        "compose --out out --domain example.test --folder srv",
        "systemd --out out --domain example.test --certificates files",
        "systemd --out out --domain example.test --certificate a --key b",
        "systemd --out out --domain example.test --mail nobody",
    ] {
        let shown = sandbox.run(&format!("stack render {args}"));
        assert!(shown.starts_with("exit code: 2\n"), "{args}: {shown}");
        assert!(!sandbox.path("out").exists(), "{args}");
    }
}
