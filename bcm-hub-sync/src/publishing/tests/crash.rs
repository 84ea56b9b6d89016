//! Killed at every point of a publication.

use super::*;
use crate::catalog::local;
use crate::sync::PublishError;
use crate::sync::publish::{self, Point, Step};
use crate::sync::state::State;

/// Publishes by the journal and is stopped at `stop`; answers with whether that came.
fn stopped_at(hub: &Hub, steps: &[Step], stop: Point) -> bool {
    let mut state = State::load(&hub.layout.state()).unwrap().state;
    state.changes += 1;
    let mut watch = |point| match point == stop {
        true => Err(PublishError::Interrupted),
        false => Ok(()),
    };
    let ended = publish::publish(&hub.layout, steps.to_vec(), state, &mut watch);
    matches!(ended, Err(PublishError::Interrupted))
}

#[test]
fn the_next_session_finishes_what_was_stopped_anywhere() {
    let points = [Point::JournalWritten, Point::Step(0), Point::Step(1)];
    for stop in points
        .into_iter()
        .chain([Point::Applied, Point::StateSaved])
    {
        let hub = Hub::new();
        hub.put("a/one.flist");
        let link = crate::catalog::Symlink {
            target: "one.flist".to_owned().try_into().unwrap(),
            linktime: 5,
        };
        let steps = [
            Step::Link {
                place: place("a/l.flist"),
                link: link.clone(),
            },
            Step::Link {
                place: place("a/m.flist"),
                link,
            },
        ];
        assert!(stopped_at(&hub, &steps, stop), "{stop:?}");
        assert!(hub.layout.publish_journal().exists());
        drop(hub.session());
        let catalog = local::scan(&hub.layout).unwrap().catalog;
        assert_eq!(catalog.entries().count(), 3, "{stop:?}");
        assert!(!hub.layout.publish_journal().exists());
    }
}

#[test]
fn what_was_staged_and_not_published_is_gone() {
    let hub = Hub::new();
    let left = hub.layout.staging().join("left.flist");
    fs::write(&left, "x").unwrap();
    drop(hub.session());
    assert!(!left.exists());
}

#[test]
fn a_damaged_journal_is_named() {
    let hub = Hub::new();
    fs::write(hub.layout.publish_journal(), "{").unwrap();
    let error = Session::open(&hub.layout, Limits::default(), false).unwrap_err();
    assert!(matches!(error, PublishingError::Journal { .. }));
}
