use super::*;

fn filled() -> Hub {
    let hub = Hub::new();
    hub.put("a/one.flist");
    hub.put("b/two.flist");
    hub
}

#[test]
fn links_tags_and_links_to_tags_are_made_and_turned() {
    let hub = filled();
    let mut session = hub.session();
    let (one, two) = (place("a/one.flist"), place("b/two.flist"));
    let latest = place("a/latest.flist");
    assert!(!session.link(&latest, &one, false).unwrap());
    assert!(!session.link(&place("a/cross.flist"), &two, false).unwrap());
    let again = session.link(&latest, &two, false);
    assert!(matches!(again, Err(PublishingError::Exists { .. })));
    assert!(session.link(&latest, &two, true).unwrap());
    let v1 = tag("a/tags/v1");
    let zos = "zos.flist".parse().unwrap();
    assert!(!session.tag(&v1, &zos, &two, false).unwrap());
    let own = "own.flist".parse().unwrap();
    assert!(!session.tag(&v1, &own, &one, false).unwrap());
    assert!(!session.link_to_tag(&place("b/stable"), &v1, false).unwrap());
    drop(session);
    assert_eq!(
        hub.names(),
        [
            "a/cross.flist: a link to b/two.flist",
            "a/latest.flist: a link to b/two.flist",
            "a/one.flist: an flist",
            "a/tags/v1: a tag",
            "a: a repository",
            "b/stable: a link to a/tags/v1",
            "b/two.flist: an flist",
            "b: a repository",
        ]
    );
    let text = fs::read_link(hub.layout.users().join("a/.tag-v1/zos.flist")).unwrap();
    assert_eq!(text.to_str(), Some("../../b/two.flist"));
    hub.assert_sound();
}

#[test]
fn links_lead_somewhere_and_never_to_themselves() {
    let hub = filled();
    let mut session = hub.session();
    let one = place("a/one.flist");
    let gone = session.link(&place("a/x.flist"), &place("a/gone.flist"), false);
    assert!(matches!(gone, Err(PublishingError::NotFound(_))));
    let over = session.link(&place("b/two.flist"), &one, true);
    assert!(
        matches!(over, Err(PublishingError::Exists { .. })),
        "no flist is lost to a link"
    );
    session.link(&place("a/x.flist"), &one, false).unwrap();
    let circle = session.link(&place("a/x.flist"), &place("a/x.flist"), true);
    assert!(matches!(circle, Err(PublishingError::Name { .. })));
    let none = session.link_to_tag(&place("a/stable"), &tag("a/tags/none"), false);
    assert!(matches!(none, Err(PublishingError::NotFound(_))));
    session
        .tag(&tag("a/tags/v1"), &one.name, &one, false)
        .unwrap();
    let named = session.link_to_tag(&place("a/stable.flist"), &tag("a/tags/v1"), false);
    assert!(matches!(named, Err(PublishingError::Name { .. })));
    drop(session);
    hub.assert_sound();
}

#[test]
fn what_is_needed_is_not_let_go_unless_that_is_said() {
    let hub = filled();
    let mut session = hub.session();
    let (one, two) = (place("a/one.flist"), place("b/two.flist"));
    session.link(&place("b/link.flist"), &one, false).unwrap();
    session
        .tag(&tag("a/tags/v1"), &two.name, &two, false)
        .unwrap();
    session
        .link_to_tag(&place("a/stable"), &tag("a/tags/v1"), false)
        .unwrap();
    for (needed, by) in [
        ("a/one.flist", "b/link.flist"),
        ("b/two.flist", "a/tags/v1/two.flist"),
        ("a/tags/v1", "a/stable"),
    ] {
        let error = session.remove(&item(needed), false).unwrap_err();
        assert!(error.to_string().contains(by), "{error}");
    }
    let new = "new.flist".parse().unwrap();
    let renamed = session.rename(&one, &new, false, false);
    assert!(matches!(renamed, Err(PublishingError::Needed { .. })));
    let last = session.untag(&tag("a/tags/v1"), &two.name, false);
    assert!(matches!(last, Err(PublishingError::Needed { .. })));
    let full = session.remove(&item("b"), true);
    assert!(matches!(
        full,
        Err(PublishingError::NotEmpty { count: 2, .. })
    ));
    session.remove(&item("a/one.flist"), true).unwrap();
    assert!(session.untag(&tag("a/tags/v1"), &two.name, true).unwrap());
    for gone in ["b/link.flist", "b/two.flist", "a/stable", "b"] {
        session.remove(&item(gone), false).unwrap();
    }
    let gone = session.remove(&item("b/two.flist"), true);
    assert!(matches!(gone, Err(PublishingError::NotFound(_))));
    drop(session);
    assert_eq!(hub.names(), ["a: a repository"]);
    hub.assert_sound();
}

#[test]
fn names_change_and_content_stays() {
    let hub = filled();
    let path = |name: &str| hub.layout.users().join(name);
    let before = fs::read(path("a/one.flist")).unwrap();
    let mut session = hub.session();
    let one = place("a/one.flist");
    let new = "uno.flist".parse().unwrap();
    assert!(!session.rename(&one, &new, false, false).unwrap());
    session
        .link(&place("a/l.flist"), &place("a/uno.flist"), false)
        .unwrap();
    let m = "m.flist".parse().unwrap();
    session
        .rename(&place("a/l.flist"), &m, false, false)
        .unwrap();
    let taken = session.rename(&place("a/m.flist"), &new, false, false);
    assert!(matches!(taken, Err(PublishingError::Exists { .. })));
    let bare = "bare".parse().unwrap();
    let suffix = session.rename(&place("a/m.flist"), &bare, false, false);
    assert!(matches!(suffix, Err(PublishingError::Name { .. })));
    drop(session);
    assert!(fs::read(path("a/uno.flist")).unwrap() == before);
    assert_eq!(
        hub.names()[..2],
        ["a/m.flist: a link to a/uno.flist", "a/uno.flist: an flist"]
    );
    hub.assert_sound();
}
