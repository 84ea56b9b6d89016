use super::*;
use crate::catalog::diff::FlistRecord;
use crate::sync::state::State;
use bcm_core::digest::Md5;
use bcm_core::lock::FolderLock;

/// A mirror with one flist, as a sync leaves it.
fn mirror(blocks: bool) -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    fs::create_dir_all(layout.users().join("a")).unwrap();
    fs::write(layout.users().join("a/a.flist"), "x").unwrap();
    let mut state = State::new();
    state.upstream = Some("http://me:secret@upstream.test/".to_owned());
    state.last_attempt = Some(7);
    state.last_success = Some(7);
    state.blocks = Some(3);
    state
        .memory
        .tombstones
        .insert("a/gone.flist".to_owned().try_into().unwrap(), 5);
    let record = FlistRecord {
        md5: Md5::of(b"x"),
        listed_size: "0.00 KB".to_owned(),
        updated: 1,
        listed_at: 1,
        checked: 1,
        file_size: 1,
        file_md5: Md5::of(b"x"),
        form: "verbatim".to_owned(),
        blocks,
    };
    let place = "a/a.flist".to_owned().try_into().unwrap();
    state.memory.flists.insert(place, record);
    state.save(&layout.state()).unwrap();
    (folder, layout)
}

fn of(layout: &Layout) -> Mode {
    Mode::of(layout).unwrap()
}

#[test]
fn a_damaged_or_newer_file_is_no_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    assert_eq!(of(&layout), Mode::Mirror);
    fs::create_dir_all(layout.hub()).unwrap();
    for damaged in ["", "{", "{}", r#"{"version":1,"mode":"other","since":0}"#] {
        fs::write(layout.mode(), damaged).unwrap();
        let error = Mode::of(&layout).unwrap_err();
        assert!(matches!(error, ModeFileError::Damaged { .. }), "{damaged}");
    }
    fs::write(layout.mode(), r#"{"version":2,"mode":"detached"}"#).unwrap();
    let error = Mode::of(&layout).unwrap_err();
    assert!(matches!(error, ModeFileError::Newer { version: 2, .. }));
    // What the error says to write is read.
    fs::write(
        layout.mode(),
        r#"{"version":1,"mode":"detached","since":0}"#,
    )
    .unwrap();
    assert_eq!(of(&layout), Mode::Detached);
}

#[test]
fn a_mirror_is_detached_and_forgets_its_upstream() {
    let (_folder, layout) = mirror(true);
    let dry = detach(&layout, true).unwrap();
    assert_eq!(of(&layout), Mode::Mirror);
    let detached = detach(&layout, false).unwrap();
    assert_eq!(detached, dry);
    assert_eq!(
        detached.upstream.as_deref(),
        Some("http://me:***@upstream.test/")
    );
    assert_eq!((detached.kept, detached.already), (1, false));
    assert_eq!(of(&layout), Mode::Detached);
    let state = State::load(&layout.state()).unwrap().state;
    assert_eq!(
        (state.upstream, state.last_success, state.blocks),
        (None, None, None)
    );
    assert!(state.memory.tombstones.is_empty());
    assert_eq!(state.memory.flists.len(), 1);
    let text = fs::read_to_string(layout.mode()).unwrap();
    assert!(!text.contains("upstream"), "{text}");
    assert!(detach(&layout, false).unwrap().already);
    let error = standalone(&layout, false).unwrap_err();
    assert!(matches!(
        error,
        ModeError::NotEmpty {
            mode: Mode::Detached,
            ..
        }
    ));
}

#[test]
fn what_is_no_whole_mirror_or_at_work_is_not_detached() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Layout::new(folder.path().join("nothing"));
    assert!(matches!(
        detach(&empty, false),
        Err(ModeError::NotSynced { .. })
    ));
    assert!(!empty.root().exists());
    let (_folder, layout) = mirror(false);
    let error = detach(&layout, false).unwrap_err();
    assert!(matches!(error, ModeError::WithoutBlocks { count: 1, .. }));
    let (_folder, layout) = mirror(true);
    let lock = FolderLock::acquire(&layout.lock()).unwrap();
    assert!(matches!(detach(&layout, false), Err(ModeError::Lock(_))));
    drop(lock);
    let lock = FolderLock::acquire(&layout.follow_lock()).unwrap();
    assert!(matches!(
        detach(&layout, false),
        Err(ModeError::Followed { .. })
    ));
    drop(lock);
    assert_eq!(of(&layout), Mode::Mirror);
    assert!(matches!(
        attach(&layout, true, false),
        Err(ModeError::IsMirror { .. })
    ));
}

#[test]
fn a_standalone_hub_begins_empty_only() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("new"));
    assert!(standalone(&layout, true).unwrap());
    assert!(!layout.root().exists());
    assert!(standalone(&layout, false).unwrap());
    assert!(!standalone(&layout, false).unwrap(), "it is one already");
    assert_eq!(of(&layout), Mode::Standalone);
    let error = detach(&layout, false).unwrap_err();
    assert!(matches!(error, ModeError::NoUpstream { .. }));
    let (_folder, layout) = mirror(true);
    let error = standalone(&layout, false).unwrap_err();
    assert!(matches!(
        error,
        ModeError::NotEmpty {
            mode: Mode::Mirror,
            ..
        }
    ));
}

#[test]
fn attaching_says_what_would_be_lost_and_keeps_a_snapshot_of_it() {
    let (_folder, layout) = mirror(true);
    detach(&layout, false).unwrap();
    let users = layout.users();
    fs::create_dir(users.join("own")).unwrap();
    fs::write(users.join("own/b.flist"), "y").unwrap();
    let mut state = State::load(&layout.state()).unwrap().state;
    for own in ["own", "own/b.flist", "a/removed.flist"] {
        state.own.insert(own.to_owned().try_into().unwrap());
    }
    state.save(&layout.state()).unwrap();
    fs::write(layout.tokens(), "{}").unwrap();
    let error = attach(&layout, false, false).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("2 entries") && text.contains("own/b.flist"),
        "{text}"
    );
    assert_eq!(attach(&layout, true, true).unwrap().discarded, 2);
    assert_eq!(of(&layout), Mode::Detached);
    let attached = attach(&layout, true, false).unwrap();
    assert_eq!(of(&layout), Mode::Mirror);
    assert!(!users.join("own").exists() && users.join("a/a.flist").exists());
    assert!(!layout.tokens().exists());
    let snapshots = crate::snapshots::list(&layout).unwrap();
    assert_eq!(Some(&snapshots[0].name), attached.snapshot.as_ref());
    assert_eq!(snapshots[0].flists, 2);
}

#[test]
fn what_a_killed_detaching_left_undone_is_done_by_the_next() {
    let (_folder, layout) = mirror(true);
    fs::write(
        layout.mode(),
        r#"{"version":1,"mode":"detached","since":0}"#,
    )
    .unwrap();
    assert!(detach(&layout, false).unwrap().already);
    let state = State::load(&layout.state()).unwrap().state;
    assert_eq!(state.upstream, None);
}

#[test]
fn all_of_a_standalone_hub_is_its_operators() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    standalone(&layout, false).unwrap();
    let home = layout.users().join("own");
    fs::create_dir_all(home.join(".tag-v1")).unwrap();
    fs::write(home.join("b.flist"), "y").unwrap();
    let attached = attach(&layout, true, false).unwrap();
    assert_eq!((attached.was, attached.discarded), (Mode::Standalone, 2));
    assert_eq!(fs::read_dir(layout.users()).unwrap().count(), 0);
    assert_eq!(of(&layout), Mode::Mirror);
    // Nothing of it is missed by a mirror that begins there.
    let state = State::load(&layout.state()).unwrap().state;
    assert!(!state.names_anything() && state.own.is_empty());
}
