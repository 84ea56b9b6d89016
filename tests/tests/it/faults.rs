//! Upstream breaks in every way that servers break: what is whole is mirrored, what is not is
//! named, and the next sync mends it.

use bcm_tests::fixtures;
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::{BlockFault, HttpFault, Origin};
use bcm_tests::tree::Tree;

const TINY: &str = "tf-bootable/ubuntu-tiny.flist";

fn recorded_tree() -> Tree {
    Tree::of_tar(&fixtures::users_tar(), "users")
}

/// Syncs while something is wrong with one flist or its blocks, then after it was mended.
#[track_caller]
fn partial_then_whole(origin: &Origin, says: &str) {
    let mirror = Mirror::new();
    let ended = mirror.sync(origin, &[]).assert_code(3);
    assert!(ended.stdout.contains(TINY), "{TINY} is not named: {ended}");
    assert!(ended.stdout.contains(says), "{says:?} is not said: {ended}");
    let users = mirror.users();
    assert!(!users.0.contains_key(TINY), "it was published nevertheless");
    assert!(users.0.contains_key("alice.3bot/my-app-1.0.flist"));
    assert!(users.0.contains_key("tf-zos/.tag-v3.14.1/zos.flist"));
    mirror.verify().assert_code(0);

    origin.heal();
    mirror.sync(origin, &[]).assert_code(0);
    recorded_tree().assert_same(&mirror.users(), "after it was mended");
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

#[test]
fn a_404_page_is_no_flist() {
    let origin = Origin::recorded();
    let page = "<!doctype html><title>404</title>";
    origin.fault(&format!("/{TINY}"), HttpFault::body(page));
    partial_then_whole(&origin, "MD5");
}

#[test]
fn a_page_with_its_own_md5_is_no_flist_either() {
    let origin = Origin::recorded();
    let page = "<!doctype html><title>404</title>";
    let md5 = bcm_core::digest::Md5::of(page.as_bytes());
    origin.fault(&format!("/{TINY}"), HttpFault::body(page));
    origin.fault(&format!("/{TINY}.md5"), HttpFault::body(format!("{md5}\n")));
    origin.fault(
        &format!("/api/flist/{TINY}/light"),
        HttpFault::json(move |light| light["md5"] = md5.to_string().into()),
    );
    partial_then_whole(&origin, "flist");
}

#[test]
fn a_gone_flist_is_named() {
    let origin = Origin::recorded();
    origin.fault(&format!("/{TINY}"), HttpFault::status(404));
    partial_then_whole(&origin, "404");
}

#[test]
fn a_wrong_md5_is_refused() {
    let origin = Origin::recorded();
    let md5 = "00000000000000000000000000000000";
    origin.fault(&format!("/{TINY}.md5"), HttpFault::body(format!("{md5}\n")));
    origin.fault(
        &format!("/api/flist/{TINY}/light"),
        HttpFault::json(move |light| light["md5"] = md5.into()),
    );
    partial_then_whole(&origin, "MD5");
}

#[test]
fn a_block_that_is_not_there_holds_its_flist_back() {
    let origin = Origin::recorded();
    let key = only_in_tiny();
    origin.block_fault(&key, BlockFault::Absent);
    partial_then_whole(&origin, &key);
}

#[test]
fn a_block_that_is_another_holds_its_flist_back() {
    let origin = Origin::recorded();
    let key = only_in_tiny();
    let other = fixtures::blocks().last().expect("a block").payload();
    origin.block_fault(&key, BlockFault::Bytes(other.into()));
    partial_then_whole(&origin, &key);
}

#[test]
fn a_block_that_is_too_large_holds_its_flist_back() {
    let origin = Origin::recorded();
    let key = only_in_tiny();
    origin.block_fault(&key, BlockFault::Oversize(9 * 1024 * 1024));
    partial_then_whole(&origin, &key);
}

/// A block that no other flist names.
fn only_in_tiny() -> String {
    let flists = fixtures::flists();
    let mut chunks = flists[TINY].chunks.iter();
    let only = chunks.find(|chunk| {
        let mut others = flists.iter().filter(|(name, _)| *name != TINY);
        others.all(|(_, flist)| !flist.chunks.contains(chunk))
    });
    only.expect("a block of its own").clone()
}

/// What goes wrong once and then is right does no harm.
#[test]
fn what_passes_is_tried_again() {
    let origin = Origin::recorded();
    origin.fault_times("/api/fileslist", 1, HttpFault::status(503));
    origin.fault_times(&format!("/{TINY}"), 1, HttpFault::Truncated(1000));
    origin.fault_times("/alice.3bot/my-app-1.0.flist", 1, HttpFault::Hangup);
    origin.hang_up_after(Some(60));
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    recorded_tree().assert_same(&mirror.users(), "after hiccups");
    mirror.verify().assert_code(0);
}

/// An upstream without the one-request catalogue gives the same mirror.
#[test]
fn the_catalogue_comes_in_pieces_too() {
    let origin = Origin::recorded();
    origin.fault("/api/fileslist", HttpFault::status(404));
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    recorded_tree().assert_same(&mirror.users(), "by repository");
}

#[test]
fn redirects_to_elsewhere_are_not_followed() {
    for location in ["file:///etc/passwd", "http://localhost.invalid/x.flist"] {
        let origin = Origin::recorded();
        origin.fault(&format!("/{TINY}"), HttpFault::redirect(location));
        partial_then_whole(&origin, "redirect");
    }
}

/// A catalogue in bulk that is none is worth no more than one that is not there.
#[test]
fn a_broken_bulk_listing_is_passed_over() {
    let origin = Origin::recorded();
    origin.fault("/api/fileslist", HttpFault::body("[[[[".repeat(10_000)));
    let mirror = Mirror::new();
    let ended = mirror.sync(&origin, &[]).assert_code(0);
    assert!(
        ended.stderr.contains("/api/fileslist is of no use"),
        "{ended}"
    );
    recorded_tree().assert_same(&mirror.users(), "by repository");
}

#[test]
fn an_upstream_that_lists_nonsense_ends_the_sync() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();
    for fault in [
        HttpFault::body("[[[[".repeat(10_000)),
        HttpFault::EndlessJson,
    ] {
        origin.fault("/api/*", fault);
        let ended = mirror.sync(&origin, &[]).assert_code(1);
        assert!(ended.stderr.contains(&origin.url()), "{ended}");
        before.assert_same(&mirror.users(), "after a catalogue that is none");
    }
}

#[test]
fn an_unreachable_upstream_is_an_error_that_names_it() {
    let mirror = Mirror::new();
    let (url, zdb) = {
        let origin = Origin::recorded();
        (origin.url(), origin.zdb_url())
    };
    let mut command = bcm_tests::bcm::command(["hub", "sync", "--upstream", &url]);
    command
        .args(["--upstream-zdb", &zdb, "--data"])
        .arg(mirror.data());
    let ended = bcm_tests::bcm::Running::start(command)
        .finish(std::time::Duration::from_secs(120))
        .assert_code(1);
    assert!(ended.stderr.contains(&url), "{ended}");
}
