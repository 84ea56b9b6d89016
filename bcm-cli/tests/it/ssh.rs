//! Machines that are reached through Tor, without a Tor.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

const ADDRESS: &str = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";
const KEY: &str = "O4DW2CTTDCST2FTSYFPTYFVGMZC7OURXQ6ZBOJNZUUJG5X6Z2EVA";

fn add(sandbox: &Sandbox, more: &str) -> String {
    sandbox.write("key", &format!("{KEY}\n"));
    sandbox.run(&format!(
        "ssh add-onion node1 {ADDRESS} --user op --key-file key {more}"
    ))
}

#[test]
fn a_machine_is_added_listed_and_forgotten_and_its_key_never_shown() {
    let sandbox = Sandbox::new();
    let planned = add(&sandbox, "--dry-run");
    assert!(planned.contains("would keep the client's key"), "{planned}");
    assert!(!sandbox.path(".local").exists(), "a dry run keeps nothing");

    let added = add(&sandbox, "");
    assert!(added.starts_with("exit code: 0\n"), "{added}");
    let file = ".local/state/bcm/onion/auth/node1.auth_private";
    let service = ADDRESS.trim_end_matches(".onion");
    assert_eq!(
        sandbox.read(file),
        format!("{service}:descriptor:x25519:{KEY}\n")
    );
    let mode = std::fs::metadata(sandbox.path(file)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let config = sandbox.read(".local/state/bcm/onion/ssh_config");
    assert!(
        config.contains(&format!("Host node1 {ADDRESS}\n")),
        "{config}"
    );
    assert!(config.contains("ssh proxy node1\n"), "{config}");
    assert!(config.contains("Include ~/.ssh/config\n"), "{config}");

    let listed = sandbox.run("ssh list-onion");
    assert!(listed.contains(ADDRESS), "{listed}");
    let json = sandbox.run("ssh list-onion --output json");
    let hosts = sandbox.read(".local/state/bcm/onion/hosts.json");
    for shown in [&added, &listed, &json, &config, &hosts] {
        assert!(!shown.contains(KEY), "{shown}");
    }

    // The same machine again, or another of that name, or that machine by another name.
    assert!(add(&sandbox, "").starts_with("exit code: 0\n"));
    let twice = sandbox.run(&format!("ssh add-onion node2 {ADDRESS} --no-key"));
    assert!(twice.starts_with("exit code: 2\n"), "{twice}");
    assert!(twice.contains("known already, as node1"), "{twice}");

    let removed = sandbox.run("ssh remove-onion node1");
    assert!(removed.starts_with("exit code: 0\n"), "{removed}");
    assert!(!sandbox.path(file).exists());
    let again = sandbox.run("ssh remove-onion node1");
    assert!(again.starts_with("exit code: 2\n"), "{again}");
}

#[test]
fn slips_are_usage() {
    let sandbox = Sandbox::new();
    let slip = ADDRESS.replacen('z', "y", 1);
    for (words, said) in [
        (
            format!("ssh add-onion node1 {slip}"),
            "its checksum does not fit",
        ),
        (
            format!("ssh add-onion local {ADDRESS}"),
            "is no name for a machine",
        ),
        (
            format!("ssh add-onion node1 {ADDRESS}"),
            "no client's key was given",
        ),
        (
            format!("ssh add-onion node1 {ADDRESS} --socks 9050"),
            "is not where a SOCKS server is",
        ),
        ("ssh connect node1".to_owned(), "there is no machine node1"),
        (
            "host prepare --print-script --onion".to_owned(),
            "needs --onion-key FILE",
        ),
    ] {
        let shown = sandbox.run(&words);
        assert!(shown.starts_with("exit code: 2\n"), "{shown}");
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn a_script_for_a_console_has_the_public_half_of_the_key_alone() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".ssh/id_ed25519.pub",
        &format!("ssh-ed25519 AAAA{} me@home\n", "C".repeat(64)),
    );
    let script = sandbox.run("host prepare --print-script --onion --onion-key key");
    assert!(script.starts_with("exit code: 0\n"), "{script}");
    let key = sandbox.read("key");
    assert!(!script.contains(key.trim()), "the key is in the script");
    let mode = std::fs::metadata(sandbox.path("key"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    // The same key gives the same script.
    let again = sandbox.run("host prepare --print-script --onion --onion-key key");
    assert_eq!(script, again);
}

#[test]
fn what_tor_says_reaches_who_wanted_the_machine() {
    let sandbox = Sandbox::new();
    let tor = TcpListener::bind("127.0.0.1:0").unwrap();
    let socks = tor.local_addr().unwrap();
    add(&sandbox, &format!("--socks {socks}"));
    std::thread::spawn(move || {
        // A Tor that has a wrong key for the service.
        for stream in tor.incoming() {
            let mut stream = stream.unwrap();
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).unwrap();
            stream.write_all(&[5, 0]).unwrap();
            let mut request = vec![0; 5 + ADDRESS.len() + 2];
            stream.read_exact(&mut request).unwrap();
            stream
                .write_all(&[5, 0xF5, 0, 1, 0, 0, 0, 0, 0, 0])
                .unwrap();
        }
    });
    // As ssh runs it.
    let shown = sandbox.run("ssh proxy node1");
    assert!(shown.starts_with("exit code: 1\n"), "{shown}");
    let line = "--- stderr\nbcm-proxy: 2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion \
        is there, but the client's key for it is wrong\n";
    assert!(shown.ends_with(line), "{shown}");
    let own = sandbox.run("host prepare node1 --undo");
    assert!(own.starts_with("exit code: 1\n"), "{own}");
    assert!(own.contains("by the onion service"), "{own}");
}
