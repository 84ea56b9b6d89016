use super::*;
use crate::flist::{Flist, Step};

fn paths(hub: &Hub, flist: &str) -> Vec<(String, u64)> {
    let path = hub.layout.users().join(flist);
    let flist = Flist::open(&path, &Limits::default(), hub.folder.path()).unwrap();
    let content = flist.contents().unwrap().content;
    content
        .into_iter()
        .map(|file| (file.path, file.size))
        .collect()
}

#[test]
fn a_folder_is_published_and_its_blocks_are_here() {
    let hub = Hub::new();
    let tree = hub.tree("tree", "hello");
    let published = hub.publish("me.too/a.flist", Content::Folder(&tree), false);
    let published = published.unwrap();
    assert_eq!((published.files.regular, published.new_blocks), (2, 2));
    assert!(!published.replaced);
    assert_eq!(
        paths(&hub, "me.too/a.flist"),
        [
            ("/etc".to_owned(), 4096),
            ("/etc/motd".to_owned(), 5),
            ("/same".to_owned(), 19)
        ]
    );
    assert_eq!(
        hub.names(),
        ["me.too/a.flist: an flist", "me.too: a repository"]
    );
    hub.assert_sound();
    let again = hub.publish("me.too/a.flist", Content::Folder(&tree), false);
    assert!(matches!(again, Err(PublishingError::Exists { .. })));
    let other = hub.tree("tree", "hello again");
    let again = hub.publish("me.too/a.flist", Content::Folder(&other), true);
    assert!(again.unwrap().replaced);
    hub.assert_sound();
    // The flist that was replaced is kept for its time of grace.
    let kept = fs::read_dir(hub.layout.snapshot_flists()).unwrap();
    assert_eq!(kept.count(), 1);
}

#[test]
fn an_flist_whose_blocks_are_missing_is_refused_with_their_keys() {
    let (from, to) = (Hub::new(), Hub::new());
    from.put("a/a.flist");
    let file = from.layout.users().join("a/a.flist");
    let error = to.publish("b/b.flist", Content::Flist(&file), false);
    let error = error.unwrap_err();
    let PublishingError::BlocksMissing {
        count: 2, first, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(error.to_string().contains(&first[0].to_string()), "{error}");
    assert_eq!(to.names(), [""; 0]);
    // As soon as they are here, it is taken, byte for byte.
    let to = Hub {
        store: from.store,
        ..to
    };
    to.publish("b/b.flist", Content::Flist(&file), false)
        .unwrap();
    let published = fs::read(to.layout.users().join("b/b.flist")).unwrap();
    assert!(published == fs::read(file).unwrap());
    to.assert_sound();
}

#[test]
fn what_is_no_flist_is_refused() {
    let hub = Hub::new();
    let file = hub.folder.path().join("x.flist");
    for content in [&b""[..], b"no flist", b"\x1f\x8b\x08no"] {
        fs::write(&file, content).unwrap();
        let error = hub.publish("a/a.flist", Content::Flist(&file), false);
        assert!(matches!(error, Err(PublishingError::Refused { .. })));
    }
    let small = Limits {
        compressed_bytes: 2,
        ..Limits::default()
    };
    let mut session = Session::open(&hub.layout, small, false).unwrap();
    let cancel = CancellationToken::new();
    let content = Content::Flist(&file);
    let error = session
        .publish(
            &place("a/a.flist"),
            content,
            &*hub.store,
            &settings(false),
            &NoProgress,
            &cancel,
        )
        .unwrap_err();
    assert!(error.to_string().contains("more than 2 bytes"), "{error}");
    drop(session);
    for name in ["api", "me", "metrics"] {
        let tree = hub.tree("tree", "x");
        let error = hub.publish(&format!("{name}/a.flist"), Content::Folder(&tree), false);
        assert!(matches!(error, Err(PublishingError::Name { .. })));
    }
    assert_eq!(hub.names(), [""; 0]);
}

#[test]
fn a_dry_run_publishes_nothing() {
    let hub = Hub::new();
    let tree = hub.tree("tree", "x");
    let mut session = Session::open(&hub.layout, Limits::default(), true).unwrap();
    let cancel = CancellationToken::new();
    let published = session.publish(
        &place("a/a.flist"),
        Content::Folder(&tree),
        &*hub.store,
        &settings(false),
        &NoProgress,
        &cancel,
    );
    assert_eq!(published.unwrap().md5, None);
    drop(session);
    assert_eq!(hub.names(), [""; 0]);
}

#[test]
fn another_repositorys_flist_is_promoted_and_several_are_merged() {
    let hub = Hub::new();
    let (one, two) = (hub.tree("one", "1"), hub.tree("two", "22"));
    fs::write(one.join("only-in-one"), "x").unwrap();
    fs::create_dir(two.join("home")).unwrap();
    fs::write(two.join("home/file"), "x").unwrap();
    hub.publish("a/one.flist", Content::Folder(&one), false)
        .unwrap();
    hub.publish("b/two.flist", Content::Folder(&two), false)
        .unwrap();
    hub.session()
        .link(&place("b/latest.flist"), &place("b/two.flist"), false)
        .unwrap();
    let mut session = hub.session();
    session
        .promote(
            &place("b/latest.flist"),
            &place("c/mine.flist"),
            &*hub.store,
            false,
        )
        .unwrap();
    let sources = [place("a/one.flist"), place("b/latest.flist")];
    let merged = session
        .merge(&sources, &place("c/all.flist"), &*hub.store, None, false)
        .unwrap();
    assert_eq!((merged.files.regular, merged.files.directory), (4, 2));
    drop(session);
    let users = hub.layout.users();
    let read = |name: &str| fs::read(users.join(name)).unwrap();
    assert!(read("c/mine.flist") == read("b/two.flist"));
    let names: Vec<String> = paths(&hub, "c/all.flist")
        .into_iter()
        .map(|(path, size)| format!("{path} {size}"))
        .collect();
    assert_eq!(
        names,
        [
            "/etc 4096",
            "/etc/motd 2",
            "/home 4096",
            "/home/file 1",
            "/only-in-one 1",
            "/same 19"
        ]
    );
    hub.assert_sound();
    let mut session = hub.session();
    for sources in [vec![], vec![place("a/gone.flist")]] {
        let merged = session.merge(&sources, &place("c/x.flist"), &*hub.store, None, false);
        assert!(merged.is_err());
    }
}

#[test]
fn merging_the_same_twice_changes_nothing() {
    let hub = Hub::new();
    hub.put("a/a.flist");
    let sources = [place("a/a.flist"), place("a/a.flist")];
    hub.session()
        .merge(&sources, &place("a/b.flist"), &*hub.store, None, false)
        .unwrap();
    let steps = |name: &str| -> Vec<Step> {
        let path = hub.layout.users().join(name);
        let flist = Flist::open(&path, &Limits::default(), hub.folder.path()).unwrap();
        flist.walk().map(Result::unwrap).collect()
    };
    assert_eq!(steps("a/a.flist"), steps("a/b.flist"));
}

#[test]
fn a_mirror_takes_nothing_and_two_do_not_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Layout::new(folder.path());
    let opened = Session::open(&mirror, Limits::default(), false);
    assert!(matches!(opened, Err(PublishingError::Mirror { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let hub = Hub::new();
    let _first = hub.session();
    let second = Session::open(&hub.layout, Limits::default(), false);
    assert!(second.unwrap_err().is_busy());
}
