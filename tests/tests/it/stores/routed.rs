//! A mirror whose blocks are in 0-dbs of its own.

use bcm_tests::bcm::{self, Finished, Running};
use bcm_tests::fixtures;
use bcm_tests::mirror::{Mirror, Served, blocks_of};
use bcm_tests::origin::Origin;
use bcm_tests::own_zdb::{OwnZdb, Setup};
use bcm_tests::wire::Resp;

fn verify(mirror: &Mirror, stores: &[&str]) -> Finished {
    let mut arguments = vec!["hub", "verify", "--output", "json", "--data"];
    let data = mirror.data();
    arguments.push(data.to_str().expect("text"));
    arguments.extend(stores);
    bcm::run(arguments)
}

#[test]
fn a_mirror_keeps_its_blocks_in_a_0_db() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let zdb = OwnZdb::with(Setup {
        admin: None,
        password: Some("sesame".into()),
    });
    let url = zdb.url_with("sesame");
    let store = ["--store", &url];
    mirror.sync(&origin, &store).assert_code(0);
    assert_eq!(zdb.edit(|blocks| blocks.len()), fixtures::blocks().len());
    assert!(!mirror.data().join("hub/blocks").exists());
    verify(&mirror, &store).assert_code(0);
    let served = Served::start_with(&mirror.data(), &store);
    assert_eq!(blocks_of(served.zdb).len(), fixtures::blocks().len());
    // Without the password nothing is written, and it is said why.
    let reading = ["--store", &zdb.url()];
    zdb.edit(|blocks| blocks.delete(&fixtures::blocks()[0].key_bytes()));
    let ended = mirror.sync(&origin, &reading).assert_code(1);
    assert!(ended.stderr.contains("read-only mode"), "{ended}");
    assert!(!ended.to_string().contains("sesame"), "{ended}");
}

#[test]
fn one_of_two_replicas_is_killed_and_mended() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let (a, b) = (OwnZdb::start(), OwnZdb::start());
    let routes = [format!("00-ff={}", a.url()), format!("00-ff={}", b.url())];
    let store = ["--store", &routes[0], "--store", &routes[1]];
    mirror.sync(&origin, &store).assert_code(0);
    let all = fixtures::blocks().len();
    assert_eq!(a.edit(|blocks| blocks.len()), all);
    assert_eq!(b.edit(|blocks| blocks.len()), all);

    let served = Served::start_with(&mirror.data(), &store);
    let before = blocks_of(served.zdb);
    a.stop();
    assert_eq!(blocks_of(served.zdb), before, "reads go on");
    let key = fixtures::blocks()[3].key_bytes();
    // What is written meanwhile is missing in the one that was down; another block rots.
    b.edit(|blocks| blocks.delete(&key));
    let ended = mirror.sync(&origin, &store).assert_code(0);
    let warnings = ended.json()["warnings"].to_string();
    assert!(warnings.contains("did not take 1 blocks"), "{warnings}");
    let rotten = fixtures::blocks()[5].key_bytes();
    a.start_again();
    a.edit(|blocks| {
        blocks.delete(&key);
        blocks.damage(&rotten);
    });

    let found = verify(&mirror, &store).assert_code(4).json();
    assert_eq!(found["damaged_blocks"]["count"], 1, "{found:#}");
    assert_eq!(found["missing_copies"], 1, "{found:#}");
    let mut repair = store.to_vec();
    repair.push("--repair");
    let mended = verify(&mirror, &repair).assert_code(0).json();
    assert_eq!(mended["found"]["mended_blocks"], 2, "{mended:#}");
    assert_eq!(mended["clean"], true, "{mended:#}");
    let after = verify(&mirror, &store).assert_code(0).json();
    assert_eq!(after["blocks"], 2 * all, "every copy is hashed: {after:#}");
    assert!(Resp::connect(a.address()).block(&rotten).is_some());
}

#[test]
fn a_copy_that_one_of_three_replicas_lacks_counts_once() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let replicas = [OwnZdb::start(), OwnZdb::start(), OwnZdb::start()];
    let routes = replicas
        .each_ref()
        .map(|zdb| format!("00-ff={}", zdb.url()));
    let store: Vec<&str> = routes.iter().flat_map(|one| ["--store", one]).collect();
    mirror.sync(&origin, &store).assert_code(0);
    for number in [3, 4] {
        let key = fixtures::blocks()[number].key_bytes();
        replicas[2].edit(|blocks| blocks.delete(&key));
    }
    let key = fixtures::blocks()[7].key_bytes();
    replicas[0].edit(|blocks| blocks.delete(&key));
    let found = verify(&mirror, &store).assert_code(4).json();
    assert_eq!(found["missing_copies"], 3, "{found:#}");
    // The flags are the same for what else works on blocks.
    for command in [&["gc", "--grace", "1s"][..], &["snapshot", "list"]] {
        let mut arguments = [&["hub"], command].concat();
        if command[0] == "gc" {
            arguments.extend(&store);
        }
        let data = mirror.data();
        arguments.extend(["--data", data.to_str().expect("text")]);
        bcm::run(arguments).assert_code(0);
    }
    assert!(!mirror.data().join("hub/blocks").exists());
}

#[test]
fn routes_that_leave_keys_out_are_refused_before_anything_is_done() {
    let ended = bcm::run([
        "hub",
        "sync",
        "--data",
        "/nonexistent/data",
        "--store",
        "00-7f=zdb://a",
        "--store",
        "90-ff=zdb://:secret@b",
    ])
    .assert_code(2);
    let said = ended.to_string();
    assert!(ended.stderr.contains("80-8f"), "{said}");
    assert!(!ended.stderr.contains("secret"), "{said}");
    let ended = Running::start(bcm::command(["hub", "sync", "--store", "7f=zdb://a"]))
        .finish(std::time::Duration::from_secs(120))
        .assert_code(2);
    assert!(ended.stderr.contains("00-7f"), "{ended}");
}
