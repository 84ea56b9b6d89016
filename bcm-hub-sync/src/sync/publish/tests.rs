use std::os::unix::fs::symlink;
use std::sync::Mutex;

use super::*;
use crate::catalog::diff::FlistRecord;
use crate::catalog::{Catalog, Entry, FlistRef, RegularFile, Symlink, Tag, TagLink, TagRef, local};
use bcm_core::digest::Md5;

fn flist_ref(text: &str) -> FlistRef {
    text.to_owned().try_into().unwrap()
}

fn link(target: &str, linktime: i64) -> Symlink {
    let target = target.to_owned().try_into().unwrap();
    Symlink { target, linktime }
}

struct Mirror {
    folder: tempfile::TempDir,
    layout: Layout,
}

impl Mirror {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"));
        fs::create_dir_all(layout.staging()).unwrap();
        Self { folder, layout }
    }

    fn stage(&self, place: &str, content: &str, updated: i64) -> Step {
        let file = format!("{}.flist", place.replace('/', "-"));
        fs::write(self.layout.staging().join(&file), content).unwrap();
        Step::Flist(StagedFlist {
            place: flist_ref(place),
            file,
            size: content.len() as u64,
            updated,
        })
    }

    fn catalog(&self) -> Catalog {
        let scan = local::scan(&self.layout).unwrap();
        assert_eq!(scan.odd, []);
        scan.catalog
    }
}

fn tag_step(place: &str, updated: i64, links: &[(&str, &str, i64)]) -> Step {
    let links = links
        .iter()
        .map(|(name, target, time)| (name.parse().unwrap(), link(target, *time)));
    Step::Tag {
        place: place.to_owned().try_into().unwrap(),
        tag: Tag {
            updated,
            links: links.collect(),
        },
    }
}

fn time(item: &str, time: i64) -> Step {
    Step::Time(item.to_owned().try_into().unwrap(), time)
}

fn remove(item: &str) -> Step {
    Step::Remove(item.to_owned().try_into().unwrap())
}

/// A publication that makes one of everything.
fn first(mirror: &Mirror) -> Vec<Step> {
    vec![
        Step::Repository("empty".parse().unwrap()),
        mirror.stage("a/one.flist", "one", 100),
        mirror.stage("b/two.flist", "two", 200),
        Step::Link {
            place: flist_ref("a/l.flist"),
            link: link("one.flist", 11),
        },
        Step::Link {
            place: flist_ref("a/m.flist"),
            link: link("b/two.flist", 12),
        },
        tag_step(
            "a/tags/v1",
            50,
            &[("x.flist", "a/one.flist", 5), ("y.flist", "b/two.flist", 6)],
        ),
        Step::TagLink {
            place: flist_ref("b/prod"),
            link: TagLink {
                target: "a/tags/v1".to_owned().try_into().unwrap(),
                linktime: 13,
            },
        },
        time("a", 1001),
        time("b", 1002),
        time("empty", 1003),
    ]
}

/// One that changes, turns and removes.
fn second(mirror: &Mirror) -> Vec<Step> {
    vec![
        mirror.stage("a/one.flist", "one, again", 101),
        Step::Link {
            place: flist_ref("a/l.flist"),
            link: link("b/two.flist", 21),
        },
        mirror.stage("a/m.flist", "was a link", 300),
        tag_step("a/tags/v1", 51, &[("x.flist", "b/two.flist", 7)]),
        tag_step("a/tags/v2", 52, &[]),
        Step::TagLink {
            place: flist_ref("b/prod"),
            link: TagLink {
                target: "a/tags/v2".to_owned().try_into().unwrap(),
                linktime: 23,
            },
        },
        remove("a/tags/gone"),
        remove("a/none"),
        remove("empty"),
        time("a", 2001),
        time("b", 2002),
    ]
}

fn state(n: i64) -> State {
    let mut state = State::new();
    state.last_attempt = Some(n);
    state
}

fn go(_: Point) -> Result<(), PublishError> {
    Ok(())
}

#[test]
fn the_tree_is_as_the_steps_say_to_the_second() {
    let mirror = Mirror::new();
    let (_, failures) = publish(&mirror.layout, first(&mirror), state(1), &mut go).unwrap();
    assert!(failures.is_empty());
    let catalog = mirror.catalog();
    let a = &catalog.repositories["a"];
    assert_eq!(a.updated, 1001);
    assert!(matches!(
        &a.entries["one.flist"],
        Entry::Regular(RegularFile {
            size: Some(3),
            updated: 100,
            ..
        })
    ));
    assert_eq!(a.entries["l.flist"], Entry::Symlink(link("one.flist", 11)));
    assert_eq!(
        a.entries["m.flist"],
        Entry::Symlink(link("b/two.flist", 12))
    );
    let tag = &a.tags["v1"];
    assert_eq!((tag.updated, tag.links.len()), (50, 2));
    assert_eq!(tag.links["y.flist"], link("b/two.flist", 6));
    assert_eq!(catalog.repositories["empty"].updated, 1003);
    let users = mirror.layout.users();
    assert_eq!(fs::read_to_string(users.join("a/m.flist")).unwrap(), "two");
    assert_eq!(
        fs::read_to_string(users.join("b/prod/x.flist")).unwrap(),
        "one"
    );
    assert_eq!(
        fs::read_link(users.join("b/prod")).unwrap(),
        Path::new("../a/.tag-v1")
    );

    publish(&mirror.layout, second(&mirror), state(2), &mut go).unwrap();
    let catalog = mirror.catalog();
    assert_eq!(
        catalog
            .repositories
            .keys()
            .map(|name| name.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let a = &catalog.repositories["a"];
    assert_eq!(
        (a.updated, a.tags["v1"].updated, a.tags["v2"].links.len()),
        (2001, 51, 0)
    );
    assert_eq!(a.tags["v1"].links.len(), 1);
    assert_eq!(
        fs::read_to_string(users.join("a/m.flist")).unwrap(),
        "was a link"
    );
    assert!(!mirror.layout.publish_journal().exists());
    assert_eq!(fs::read_dir(mirror.layout.staging()).unwrap().count(), 0);
    assert_eq!(State::load(&mirror.layout.state()).unwrap().state, state(2));
}

/// The points of an undisturbed publication of `steps`.
fn points(steps: usize) -> Vec<Point> {
    let mut points = vec![Point::JournalWritten];
    points.extend((0..steps).map(Point::Step));
    points.extend([Point::Applied, Point::StateSaved]);
    points
}

#[test]
fn a_crash_at_any_point_is_made_good_by_the_next_run() {
    let undisturbed = Mirror::new();
    publish(&undisturbed.layout, first(&undisturbed), state(1), &mut go).unwrap();
    let steps = second(&undisturbed);
    let all = points(steps.len());
    publish(&undisturbed.layout, steps, state(2), &mut go).unwrap();
    let (mut stopped_again, mut finished) = (0, 0);
    for &crash in &all {
        let mirror = Mirror::new();
        publish(&mirror.layout, first(&mirror), state(1), &mut go).unwrap();
        let mut stop = |point| match point == crash {
            true => Err(PublishError::Interrupted),
            false => Ok(()),
        };
        let stopped = publish(&mirror.layout, second(&mirror), state(2), &mut stop);
        assert!(
            matches!(stopped, Err(PublishError::Interrupted)),
            "{crash:?}"
        );
        // A second crash while making good the first.
        match roll_forward(&mirror.layout, &mut stop) {
            Err(PublishError::Interrupted) => stopped_again += 1,
            other => drop(other.unwrap()),
        }
        match roll_forward(&mirror.layout, &mut go).unwrap() {
            Rolled::Nothing => {}
            Rolled::Finished(failures) => {
                assert!(failures.is_empty(), "{crash:?}");
                finished += 1;
            }
            Rolled::Damaged(why) => panic!("{crash:?}: {why}"),
        }
        assert_eq!(mirror.catalog(), undisturbed.catalog(), "{crash:?}");
        let content = fs::read(mirror.layout.users().join("a/one.flist")).unwrap();
        assert_eq!(content, b"one, again");
        assert_eq!(State::load(&mirror.layout.state()).unwrap().state, state(2));
        assert!(matches!(
            roll_forward(&mirror.layout, &mut go).unwrap(),
            Rolled::Nothing
        ));
        assert_eq!(
            fs::read_dir(mirror.layout.staging()).unwrap().count(),
            0,
            "{crash:?}"
        );
    }
    // What is not stopped a second time has finished with that.
    assert!(
        stopped_again > 0 && finished > 0,
        "{stopped_again} stopped again, {finished} finished after that"
    );
}

#[test]
fn planted_links_lead_nowhere() {
    let mirror = Mirror::new();
    let outside = mirror.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "as it was").unwrap();
    let users = mirror.layout.users();
    fs::create_dir_all(users.join("b")).unwrap();
    symlink(&outside, users.join("a")).unwrap();
    symlink(outside.join("precious"), users.join("b/two.flist")).unwrap();
    symlink(&outside, users.join("b/.tag-t")).unwrap();
    let steps = vec![
        mirror.stage("a/one.flist", "one", 100),
        mirror.stage("b/two.flist", "two", 200),
        Step::Link {
            place: flist_ref("a/l.flist"),
            link: link("x", 1),
        },
        tag_step("b/tags/t", 1, &[("x", "a/b", 1)]),
        remove("a/precious"),
        remove("b/tags/t"),
        time("a", 7),
    ];
    let mut kept = state(1);
    for place in ["a/one.flist", "b/two.flist"] {
        let record = FlistRecord {
            md5: Md5::of(b""),
            listed_size: String::new(),
            updated: 0,
            listed_at: 0,
            checked: 0,
            file_size: 0,
            file_md5: Md5::of(b""),
            form: String::new(),
            blocks: true,
        };
        kept.memory.flists.insert(flist_ref(place), record);
    }
    let (after, failures) = publish(&mirror.layout, steps, kept, &mut go).unwrap();
    let failed: Vec<_> = failures.iter().map(|(item, _)| item.to_string()).collect();
    assert_eq!(
        failed,
        ["a/one.flist", "a/l.flist", "b/tags/t", "a/precious", "a"]
    );
    assert!(
        after
            .memory
            .flists
            .keys()
            .map(ToString::to_string)
            .eq(["b/two.flist"])
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(
        fs::read_to_string(outside.join("precious")).unwrap(),
        "as it was"
    );
    assert_eq!(
        fs::read_to_string(users.join("b/two.flist")).unwrap(),
        "two"
    );
    assert!(
        fs::symlink_metadata(users.join("b/two.flist"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn a_damaged_and_a_newer_journal_are_told_apart() {
    let mirror = Mirror::new();
    assert!(matches!(
        roll_forward(&mirror.layout, &mut go).unwrap(),
        Rolled::Nothing
    ));
    for damaged in ["{", "", r#"{"version": 1, "steps": [], "state": 7}"#] {
        fs::write(mirror.layout.publish_journal(), damaged).unwrap();
        let rolled = roll_forward(&mirror.layout, &mut go).unwrap();
        assert!(matches!(rolled, Rolled::Damaged(_)), "{damaged:?}");
        assert!(mirror.layout.publish_journal().exists());
    }
    fs::write(mirror.layout.publish_journal(), r#"{"version": 9}"#).unwrap();
    let error = roll_forward(&mirror.layout, &mut go).unwrap_err();
    assert!(matches!(error, PublishError::Newer { version: 9, .. }));
}

#[test]
fn an_flist_whose_staged_file_is_gone_is_not_remembered() {
    let mirror = Mirror::new();
    let step = mirror.stage("a/one.flist", "one", 100);
    fs::remove_file(mirror.layout.staging().join("a-one.flist.flist")).unwrap();
    let seen = Mutex::new(Vec::new());
    let mut watch = |point| {
        seen.lock().unwrap().push(point);
        Ok(())
    };
    let (_, failures) = publish(&mirror.layout, vec![step], state(1), &mut watch).unwrap();
    assert!(matches!(failures[0].1, PublishError::StagedFileGone { .. }));
    assert_eq!(seen.into_inner().unwrap(), points(1));
    let place: TagRef = "a/tags/v".to_owned().try_into().unwrap();
    assert!(mirror.catalog().tag(&place).is_none());
}
