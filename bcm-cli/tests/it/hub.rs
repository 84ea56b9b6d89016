//! `bcm hub`: wrong surroundings, and one command after the other as an operator types them.

use std::io::Read;
use std::net::TcpListener;

use bcm_core::lock::FolderLock;
use insta::assert_snapshot;
use rustix::process::Signal;

use crate::running::{Running, get};
use crate::sandbox::Sandbox;

/// What differs from run to run.
const FILTERS: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "[address]"),
    (r"\b\d+(\.\d+)? s\b", "[time]"),
    (r"\d+ seconds? ago", "[ago]"),
    (r"process \d+", "process [pid]"),
    (r"[\d.]+ [KM]iB on disk", "[size] on disk"),
    (r"[0-9a-f]{32}-[0-9a-f]{32}", "[staged]"),
];

macro_rules! snapshot {
    ($shown:expr, @$expected:literal) => {
        insta::with_settings!({filters => FILTERS.to_vec()}, {
            assert_snapshot!($shown, @$expected);
        });
    };
}

#[test]
fn a_folder_without_a_mirror_is_not_healthy() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.run("hub verify"), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: [dir]/data holds no mirror
    hint: --data names the data folder; `bcm hub sync` makes a mirror in it
    ");
    snapshot!(sandbox.run("hub status"), @r"
    exit code: 4
    --- stdout
    data folder  [dir]/data
    mode         mirror
    upstream     none yet
    last sync    never
    catalogue    0 repositories, 0 flists (0 B), 0 links, 0 tags, 0 links to tags
    blocks       0 (0 B), 0 B on disk
    health       bad
                 no sync has run to its end yet
    --- stderr
    ");
}

#[test]
fn a_mistyped_folder_is_not_made_a_mirror() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.run("hub gc"), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: [dir]/data holds no mirror
    hint: --data names the data folder; `bcm hub sync` makes a mirror in it
    ");
    let dry = sandbox.run("hub gc --dry-run");
    assert!(dry.contains("holds no mirror"), "{dry}");
    assert!(!sandbox.path("data").exists());
}

#[test]
fn a_password_is_not_repeated_with_a_mistake() {
    let sandbox = Sandbox::new();
    sandbox.write("bcm.toml", "[hub]\nstore = [\"00-7f=zdb://:sekrit@a:b\"]\n");
    let mistaken = [
        "hub status",
        "hub sync --store zdb://:sekrit@rit@h:x",
        "hub sync --upstream-zdb 00-7f=zdb://:sekrit@h",
        "hub sync --upstream htp://u:sekrit@h/",
    ];
    for command in mistaken {
        let shown = sandbox.run(command).to_string();
        assert!(shown.starts_with("exit code: 2"), "{shown}");
        assert!(
            shown.contains("***") && !shown.contains("sekrit"),
            "{shown}"
        );
    }
}

#[test]
fn a_data_folder_in_use_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data/lock", "");
    let _lock = FolderLock::acquire(&sandbox.path("data/lock")).unwrap();
    snapshot!(sandbox.run("hub sync --upstream http://127.0.0.1:9 --attempts 1"), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: the data folder could not be locked
      because: [dir]/data/lock is in use by another process (process [pid])
    hint: one process at a time writes to a data folder; wait for it, or use another --data
    ");
}

#[test]
fn an_upstream_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    // A port that was just free: nobody listens.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sync = format!("hub sync -q --upstream http://{address} --attempts 1");
    snapshot!(sandbox.run(&sync), @r"
    exit code: 1
    --- stdout
    --- stderr
    error: the upstream's catalogue could not be read
      because: no upstream could be listed; the last one asked was http://[address]
      because: the request failed
      because: http://[address]/api/repositories: could not connect
      because: Connection refused (os error 111)
    hint: is it up, and can this machine reach it? other hubs are named with --upstream
    ");
}

#[test]
fn rewritten_flists_need_an_address() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.run("hub sync --flists rewritten"), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: rewritten flists need this mirror's public 0-db address: --backend HOST[:PORT][/NAMESPACE]
    ");
}

#[test]
fn an_interrupted_sync_says_so() {
    let sandbox = Sandbox::new();
    // Accepts, reads, and never answers.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let sync = Running::start(
        &sandbox.path(""),
        &format!("hub sync --data data --upstream http://{address}"),
    );
    let (mut connection, _) = upstream.accept().unwrap();
    connection.read_exact(&mut [0; 4]).unwrap();
    sync.signal(Signal::INT);
    assert_eq!(sync.wait().code(), Some(130));
}

#[test]
fn an_address_in_use_is_named() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    snapshot!(sandbox.run(&format!("hub serve --http {address} --zdb 127.0.0.1:0")), @r"
    exit code: 1
    --- stdout
    --- stderr
    warning: [dir]/data holds no mirror yet; what a sync publishes there will be served
    error: could not listen on [address]
      because: Address already in use (os error 98)
    hint: something else listens there; choose another address with --http, or port 0 for any
    ");
    snapshot!(sandbox.run(&format!("hub serve --http 127.0.0.1:0 --zdb {address}")), @r"
    exit code: 1
    --- stdout
    --- stderr
    warning: [dir]/data holds no mirror yet; what a sync publishes there will be served
    error: could not listen on [address] for the 0-db protocol
      because: Address already in use (os error 98)
    hint: something else listens there; choose another address with --zdb, or port 0 for any
    ");
}

#[test]
fn a_mirror_can_be_made_checked_served_and_mirrored_again() {
    let sandbox = Sandbox::new();
    let mut upstream = Running::start(
        &sandbox.path(""),
        "stack start --here --demo --data first --http 127.0.0.1:0 --zdb 127.0.0.1:0 --output json",
    );
    let started = upstream.document();
    assert_eq!(started["sync"]["outcome"], "complete", "{started}");
    let at = |what: &str| started["serving"][what][0].as_str().unwrap().to_owned();
    let (status, body) = get(&at("http"), "/api/flist/tf-zos/production/taglink");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("tf-zos/tags/v3.14.1"), "{body}");

    let flags = format!(
        "--upstream http://{} --upstream-zdb zdb://{}",
        at("http"),
        at("zdb")
    );
    snapshot!(sandbox.run(&format!("hub sync -q --profile zos {flags} --dry-run")), @r"
    exit code: 0
    --- stdout
    mirroring http://[address] into [dir]/data would
      make    tf-autobuilder/
      make    tf-official-apps/
      make    tf-official-vms/
      make    tf-zos/
      make    tf-zos-bins/
      fetch   tf-autobuilder/bootstrap-v1.4.1.flist (2.07 KB; new)
      fetch   tf-autobuilder/bootstrap-v1.4.2.flist (2.07 KB; new)
      fetch   tf-autobuilder/zos-v3.14.1.flist (2.19 KB; new)
      fetch   tf-autobuilder/zos-v3.15.0-rc2.flist (2.19 KB; new)
      fetch   tf-official-apps/nginx-1.27.flist (2.06 KB; new)
      fetch   tf-official-apps/redis-7.4.flist (2.12 KB; new)
      fetch   tf-official-vms/ubuntu-24.04.flist (2.33 KB; new)
      fetch   tf-zos-bins/containerd-1.7.flist (2.12 KB; new)
      link    tf-autobuilder/bootstrap:latest.flist -> bootstrap-v1.4.2.flist
      link    tf-official-apps/nginx-latest.flist -> nginx-1.27.flist
      link    tf-official-apps/redis-latest.flist -> redis-7.4.flist
      link    tf-official-vms/ubuntu-lts.flist -> ubuntu-24.04.flist
      tag     tf-zos/tags/v3.14.1
      tag     tf-zos/tags/v3.15.0-rc2
      link    tf-zos/production -> tf-zos/tags/v3.14.1
      link    tf-zos/testing -> tf-zos/tags/v3.15.0-rc2
    8 flists to fetch, 0 as they should be, 0 to delete
    --- stderr
    ");
    assert!(!sandbox.path("data/hub/users").exists(), "a dry run wrote");
    snapshot!(sandbox.run(&format!("hub sync -q {flags}")), @r"
    exit code: 0
    --- stdout
    mirrored http://[address] into [dir]/data in [time]
      flists  11 new, 0 changed, 0 unchanged (23.23 KiB downloaded)
      names   5 links, 2 tags, 2 links to tags made or changed
      blocks  54 fetched (14.67 MiB), each checked against its hash
    --- stderr
    ");
    snapshot!(sandbox.run(&format!("hub sync -q {flags}")), @r"
    exit code: 0
    --- stdout
    [dir]/data is equal to http://[address]: 11 flists, nothing to do
    --- stderr
    ");
    snapshot!(sandbox.run("hub status"), @r"
    exit code: 0
    --- stdout
    data folder  [dir]/data
    mode         mirror
    upstream     http://[address]
    last sync    [ago]
    catalogue    8 repositories, 11 flists (23.23 KiB), 5 links, 2 tags, 2 links to tags
    blocks       54 (14.67 MiB), [size] on disk
    health       good
    --- stderr
    ");
    snapshot!(sandbox.run("hub verify -q"), @r"
    exit code: 0
    --- stdout
    verified 54 blocks (14.67 MiB), 11 flists, 13 links and 2 tags in [time]: all of it is whole
    --- stderr
    ");
    assert_eq!(
        sandbox.tree("first/hub/users"),
        sandbox.tree("data/hub/users"),
        "a mirror of a mirror is the same"
    );

    let mut served = Running::start(
        &sandbox.path(""),
        "hub serve --data data --http 127.0.0.1:0 --zdb 127.0.0.1:0 --output json",
    );
    let addresses = served.document();
    let http = addresses["http"][0].as_str().unwrap();
    let listing = get(http, "/api/fileslist");
    assert_eq!(listing, get(&at("http"), "/api/fileslist"));
    served.signal(Signal::TERM);
    assert_eq!(served.wait().code(), Some(0));
    upstream.signal(Signal::INT);
    assert_eq!(upstream.wait().code(), Some(0));
}

#[test]
fn damage_is_found_and_named() {
    let sandbox = Sandbox::new();
    let demo = "stack start --here --demo --once --data data --http 127.0.0.1:0 --zdb 127.0.0.1:0";
    sandbox.command(demo).assert().success();
    let path = sandbox.path("data/hub/blocks/blocks-000001.data");
    let mut blocks = std::fs::read(&path).unwrap();
    let middle = blocks.len() / 2;
    blocks[middle] ^= 1;
    std::fs::write(&path, blocks).unwrap();
    std::fs::write(
        sandbox.path("data/hub/users/bob.3bot/copy-of-site.flist"),
        "no flist",
    )
    .unwrap();
    let text = sandbox.run("hub verify -q");
    for part in [
        "exit code: 4\n",
        "damage was found\n",
        "damaged blocks: 1\n",
        "bob.3bot/copy-of-site.flist: its MD5 is ",
        "`bcm hub verify --repair` fetches them again\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing from {text}");
    }
    let output = sandbox
        .command("hub verify -q --output json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["clean"], false);
    assert_eq!(report["damaged_blocks"]["count"], 1);
    let damaged = report["damaged_flists"]["first"].as_array().unwrap();
    assert!(
        damaged
            .iter()
            .any(|flist| flist["place"] == "bob.3bot/copy-of-site.flist"),
        "{report}"
    );
}

#[test]
fn names_that_are_gone_are_damage() {
    let sandbox = Sandbox::new();
    let demo = "stack start --here --demo --once --data data --http 127.0.0.1:0 --zdb 127.0.0.1:0";
    sandbox.command(demo).assert().success();
    std::fs::remove_dir_all(sandbox.path("data/hub/users/tf-zos/.tag-v3.14.1")).unwrap();
    snapshot!(sandbox.run("hub verify -q"), @r"
    exit code: 4
    --- stdout
    verified 54 blocks (14.67 MiB), 11 flists, 10 links and 1 tags in [time]: damage was found
    damaged links, tags and repositories: 1
      tf-zos/tags/v3.14.1: it was published and is gone
    `bcm hub verify --repair` fetches them again
    --- stderr
    ");
    std::fs::remove_dir_all(sandbox.path("data/hub/users")).unwrap();
    let text = sandbox.run("hub verify -q");
    assert!(text.starts_with("exit code: 4\n"), "{text}");
    assert!(text.contains("damaged flists: 11\n"), "{text}");
}

#[test]
fn an_entry_that_is_refused_is_named_and_the_rest_is_done() {
    let sandbox = Sandbox::new();
    let demo = "stack start --here --demo --once --data up --http 127.0.0.1:0 --zdb 127.0.0.1:0";
    sandbox.command(demo).assert().success();
    sandbox.write(
        "up/hub/users/alice.3bot/broken.flist",
        "a page that says 404",
    );
    let mut upstream = Running::start(
        &sandbox.path(""),
        "hub serve --data up --http 127.0.0.1:0 --zdb 127.0.0.1:0 --output json",
    );
    let addresses = upstream.document();
    let at = |what: &str| addresses[what][0].as_str().unwrap();
    let sync = format!(
        "hub sync -q --repo *.3bot --upstream http://{} --upstream-zdb zdb://{}",
        at("http"),
        at("zdb")
    );
    snapshot!(sandbox.run(&sync), @r"
    exit code: 3
    --- stdout
    mirrored http://[address] into [dir]/data in [time]
      flists  4 new, 0 changed, 0 unchanged (8.42 KiB downloaded)
      names   1 links, 0 tags, 0 links to tags made or changed
      blocks  18 fetched (4.85 MiB), each checked against its hash
    refused: 1
      alice.3bot/broken.flist: [dir]/data/hub/staging/[staged].flist is not an flist: it looks like text
    --- stderr
    warning: alice.3bot/broken.flist is refused: [dir]/data/hub/staging/[staged].flist is not an flist: it looks like text
    ");
    snapshot!(sandbox.run("hub status"), @r"
    exit code: 3
    --- stdout
    data folder         [dir]/data
    mode                mirror
    upstream            http://[address]
    last sync           [ago]
    last complete sync  never
    catalogue           4 repositories, 4 flists (8.42 KiB), 1 links, 0 tags, 0 links to tags
    blocks              18 (4.85 MiB), [size] on disk
    health              good, but for some entries
                        the last sync refused 1 entries and could not publish 0; `bcm hub status --last` names them
    --- stderr
    ");
    assert!(
        !sandbox
            .path("data/hub/users/alice.3bot/broken.flist")
            .exists()
    );
    assert!(
        sandbox
            .path("data/hub/users/alice.3bot/site.flist")
            .exists()
    );
}
