use std::cell::Cell;

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const NOW: i64 = 1_790_000_000;

const ALL: fn(&str) -> bool = |_| true;

fn recorded(name: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/origin-small/http/"
    );
    std::fs::read(format!("{folder}{name}")).unwrap()
}

fn repo(name: &str) -> RepoName {
    RepoName::new(name).unwrap()
}

fn entry_name(name: &str) -> EntryName {
    EntryName::new(name).unwrap()
}

#[test]
fn the_recorded_answers_are_read() {
    let mut refusals = Refusals::default();
    let repositories = repositories(&recorded("000.body"), NOW, &ALL, &mut refusals).unwrap();
    assert_eq!(repositories.len(), 5);
    assert_eq!(repositories[&repo("tf-zos")].updated, Some(1_735_710_000));
    let all = fileslist(&recorded("002.body"), NOW, &ALL, &mut refusals).unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all[&repo("empty.3bot")], Entries::default());
    let alice = repository(
        &recorded("003.body"),
        &repo("alice.3bot"),
        NOW,
        &mut refusals,
    )
    .unwrap();
    assert_eq!(all[&repo("alice.3bot")], alice);
    let Entry::Symlink(base) = &alice.entries[&entry_name("base.flist")] else {
        panic!("{alice:?}");
    };
    assert_eq!(base.target.to_string(), "tf-bootable/ubuntu-tiny.flist");
    assert_eq!(base.linktime, 1_735_700_000);
    let zos = &all[&repo("tf-zos")];
    assert_eq!(zos.tags.len(), 2);
    assert!(matches!(&zos.entries[&entry_name("production")],
        Entry::TagLink(link) if link.target.to_string() == "tf-zos/tags/v3.14.1"));
    let place = TagRef::try_from("tf-zos/tags/v3.14.1".to_owned()).unwrap();
    let links = tag(&recorded("038.body"), &place, NOW, &mut refusals)
        .unwrap()
        .unwrap();
    assert_eq!(links.len(), 2);
    assert_eq!(refusals, Refusals::default());
    assert_eq!(
        md5(&recorded("007.body")).unwrap().to_string(),
        "742a8aa3a675bcce11efb6573f42dd81"
    );
    let light_of = light(&recorded("005.body"), NOW).unwrap();
    assert_eq!((light_of.size, light_of.updated), (3448, 1_735_689_600));
    assert_eq!(light(&recorded("010.body"), NOW).unwrap().md5, None);
}

#[test]
fn a_page_is_no_answer() {
    let page = recorded("012.body");
    let mut refusals = Refusals::default();
    assert!(repositories(&page, NOW, &ALL, &mut refusals).is_err());
    assert!(fileslist(&page, NOW, &ALL, &mut refusals).is_err());
    assert!(md5(&page).is_err());
    assert!(light(&page, NOW).is_err());
    assert!(matches!(
        fileslist(b"[]", NOW, &ALL, &mut refusals),
        Err(ParseError::Outline {
            found: "an array",
            ..
        })
    ));
    for cut in [&br#"{"a": [{"name": "x"#[..], br#"{"a": []} {}"#, b""] {
        assert!(fileslist(cut, NOW, &ALL, &mut refusals).is_err());
    }
    let deep = [b"{\"a\": ".to_vec(), vec![b'['; 100_000]].concat();
    assert!(fileslist(&deep, NOW, &ALL, &mut refusals).is_err());
}

/// One listing with a good entry and `bad`; answers with the reason for the refusal.
fn refusal_of(bad: &str) -> String {
    let good = r#"{"name":"ok.flist","size":"1 KB","updated":5,"type":"regular","new":[{}]}"#;
    let body = format!("[{bad},{good}]");
    let mut refusals = Refusals::default();
    let entries = repository(body.as_bytes(), &repo("r"), NOW, &mut refusals).unwrap();
    assert_eq!(entries.entries.len(), 1, "{bad}");
    assert!(entries.entries.contains_key("ok.flist") && entries.tags.is_empty());
    assert_eq!(refusals.total(), 1, "{bad}");
    refusals.named()[0].reason.clone()
}

#[test]
fn hostile_entries_are_refused_one_by_one() {
    let long = "x".repeat(256);
    for (bad, part) in [
        ("7".to_owned(), "not an object"),
        ("null".to_owned(), "not an object"),
        ("[[1]]".to_owned(), "not an object"),
        ("{}".to_owned(), "`name` is missing"),
        (r#"{"name":3,"type":"regular"}"#.to_owned(), "not a text"),
        (r#"{"name":"x"}"#.to_owned(), "`type` is missing"),
        (r#"{"name":"x","type":"device"}"#.to_owned(), "unknown type"),
        (
            r#"{"name":"..","type":"regular","size":"1 KB","updated":1}"#.to_owned(),
            "folder",
        ),
        (
            r#"{"name":"a/b","type":"regular","size":"1 KB","updated":1}"#.to_owned(),
            "'/'",
        ),
        (
            r#"{"name":"","type":"tag","updated":1}"#.to_owned(),
            "empty",
        ),
        (
            r#"{"name":"a\u0000","type":"tag","updated":1}"#.to_owned(),
            "'\\0'",
        ),
        (
            r#"{"name":".tag-x","type":"regular","size":"1 KB","updated":1}"#.to_owned(),
            ".tag-",
        ),
        (
            format!(r#"{{"name":"{long}","type":"regular","size":"1 KB","updated":1}}"#),
            "256",
        ),
        (
            r#"{"name":"x","type":"regular","size":12,"updated":1}"#.to_owned(),
            "`size`",
        ),
        (
            r#"{"name":"x","type":"regular","size":"1 KB"}"#.to_owned(),
            "`updated` is missing",
        ),
        (
            r#"{"name":"x","type":"regular","size":"1 KB","updated":-1}"#.to_owned(),
            "1970",
        ),
        (
            r#"{"name":"x","type":"regular","size":"1 KB","updated":99999999999}"#.to_owned(),
            "future",
        ),
        (
            r#"{"name":"x","type":"regular","size":"1 KB","updated":1e300}"#.to_owned(),
            "not a time",
        ),
        (
            r#"{"name":"x","type":"regular","size":"1 KB","updated":18446744073709551615}"#
                .to_owned(),
            "not a time",
        ),
        (
            r#"{"name":"x","type":"symlink","linktime":1}"#.to_owned(),
            "`target`",
        ),
        (
            r#"{"name":"x","type":"symlink","linktime":1,"target":"../../etc/passwd"}"#.to_owned(),
            "target",
        ),
        (
            r#"{"name":"x","type":"symlink","linktime":1,"target":"/etc/passwd"}"#.to_owned(),
            "target",
        ),
        (
            r#"{"name":"x","type":"symlink","linktime":"1","target":"a"}"#.to_owned(),
            "`linktime`",
        ),
        (
            r#"{"name":"x","type":"taglink","linktime":1,"target":"a/b"}"#.to_owned(),
            "target",
        ),
        (
            r#"{"name":"x","type":"taglink","linktime":1,"target":"../tags/x"}"#.to_owned(),
            "target",
        ),
    ] {
        let reason = refusal_of(&bad);
        assert!(reason.contains(part), "{bad}: {reason}");
    }
}

#[test]
fn the_first_of_two_is_taken_and_what_is_held_is_kept() {
    let body = br#"[{"name":"x","type":"tag","updated":1},{"name":"x","type":"tag","updated":2},
        {"name":"y","type":"regular","updated":1}]"#;
    let mut refusals = Refusals::default();
    let entries = repository(body, &repo("r"), NOW, &mut refusals).unwrap();
    assert_eq!(entries.tags[&TagName::new("x").unwrap()], 1);
    assert_eq!(refusals.total(), 2);
    let kept: Vec<_> = refusals.kept().iter().map(ToString::to_string).collect();
    assert_eq!(kept, ["r/x", "r/y", "r/tags/x", "r/tags/y"]);
}

#[test]
fn a_bad_repository_does_not_take_the_others_along() {
    let body = br#"{"..": [], "a": {"x": [1]}, "b": [], "b": [{}], ".tag-x": 1, "c": null}"#;
    let mut refusals = Refusals::default();
    let found = fileslist(body, NOW, &ALL, &mut refusals).unwrap();
    assert_eq!(
        found.keys().map(RepoName::as_str).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    assert_eq!(refusals.total(), 5);
    assert!(refusals.kept().contains(&Item::Repository(repo("a"))));
    let body = br#"[{"name":"a","official":"yes","updated":1},{"name":"b","updated":-4},
        {"name":"../c","updated":1}, 3]"#;
    let mut refusals = Refusals::default();
    let found = repositories(body, NOW, &ALL, &mut refusals).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[&repo("b")],
        RepositoryInfo {
            official: false,
            updated: None
        }
    );
    assert_eq!(refusals.total(), 4);
}

#[test]
fn what_nobody_asked_for_is_kept_but_not_named() {
    let body = br#"{"..": [], "a": [1, {"name": "x"}], "b": 7, "c": [{"name": "y"}]}"#;
    let mut refusals = Refusals::default();
    let found = fileslist(body, NOW, &|name| name == "c", &mut refusals).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!((refusals.total(), refusals.named().len()), (1, 1));
    assert_eq!(refusals.named()[0].subject, "c/y");
    assert!(refusals.unread().contains("b"));
    let item = Item::entry(&repo("a"), &entry_name("x"));
    assert!(refusals.kept().contains(&item));
}

#[test]
fn one_bad_link_refuses_its_tag() {
    let place = TagRef::try_from("r/tags/v1".to_owned()).unwrap();
    for bad in [
        r#"{"name":"x","type":"regular","size":"1 KB","updated":1}"#,
        r#"{"name":"x","type":"symlink","linktime":1,"target":"../x"}"#,
        r#"{"name":"ok","type":"symlink","linktime":1,"target":"a/b"}"#,
    ] {
        let body = format!(r#"[{{"name":"ok","type":"symlink","linktime":1,"target":"a"}},{bad}]"#);
        let mut refusals = Refusals::default();
        assert_eq!(
            tag(body.as_bytes(), &place, NOW, &mut refusals).unwrap(),
            None
        );
        assert!(refusals.kept().contains(&Item::Tag(place.clone())));
        assert_eq!(refusals.total(), 1);
    }
    let body = br#"[{"name":"ok","type":"symlink","linktime":1,"target":"a"}]"#;
    let links = tag(body, &place, NOW, &mut Refusals::default())
        .unwrap()
        .unwrap();
    assert_eq!(links["ok"].target.to_string(), "r/a");
}

#[test]
fn only_so_many_refusals_are_named() {
    let body = format!("[{}1]", "1,".repeat(2999));
    let mut refusals = Refusals::default();
    repository(body.as_bytes(), &repo("r"), NOW, &mut refusals).unwrap();
    assert_eq!(
        (refusals.total(), refusals.named().len()),
        (3000, MAX_NAMED)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut refusals = Refusals::default();
        let _ = repositories(&body, NOW, &ALL, &mut refusals);
        let _ = fileslist(&body, NOW, &ALL, &mut refusals);
        let _ = light(&body, NOW);
        let _ = md5(&body);
    }
}

#[test]
fn what_is_accepted_is_safe() {
    let times = prop_oneof![0..=NOW, any::<i64>()];
    let entries = ("[a-z./\\\\ ]{0,12}", "[a-z./]{0,12}", times);
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let check = |(name, target, time): (String, String, i64)| {
        let entry = serde_json::json!(
            {"name": name, "target": target, "type": "symlink", "linktime": time}
        );
        let body = serde_json::json!([entry]).to_string();
        let mut refusals = Refusals::default();
        let found = repository(body.as_bytes(), &repo("r"), NOW, &mut refusals).unwrap();
        prop_assert_eq!(found.entries.len() as u64 + refusals.total(), 1);
        refused.set(refused.get() + refusals.total());
        for (name, entry) in found.entries {
            accepted.set(accepted.get() + 1);
            prop_assert!(bcm_core::names::check(name.as_str()).is_ok());
            if let Entry::Symlink(link) = entry {
                prop_assert!((0..=NOW + FUTURE_SLACK).contains(&link.linktime));
                prop_assert!(!link.target.to_string().split('/').any(|part| part == ".."));
            }
        }
        Ok(())
    };
    runner.run(&entries, check).unwrap();
    assert!(
        accepted.get() > 0 && refused.get() > 0,
        "{accepted:?} accepted, {refused:?} refused"
    );
}
