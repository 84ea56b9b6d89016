//! One writer; readers go on.

use std::time::{Duration, Instant};

use bcm_tests::mirror::Mirror;
use bcm_tests::origin::Origin;
use bcm_tests::wire::get;

#[test]
fn a_second_sync_is_told_who_is_there_and_readers_go_on() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror
        .sync(&origin, &["--repo", "tf-bootable"])
        .assert_code(0);
    let served = mirror.serve();
    let app = "/alice.3bot/my-app-1.0.flist";
    assert_eq!(get(served.http, app).status, 404);

    // At work for as long as nothing is answered; once it asks for something it has the lock.
    origin.slow(Duration::from_secs(3600), Duration::from_secs(3600));
    origin.forget_counts();
    let first = mirror.start_sync(&origin, &[]);
    wait_until("the first sync is at work", || {
        !origin.requests().is_empty()
    });
    let second = mirror.sync(&origin, &[]).assert_code(1);
    assert!(second.stderr.contains("lock"), "{second}");
    let id = first.id().to_string();
    assert!(
        second.stderr.contains(&id),
        "it does not name {id}: {second}"
    );
    let tiny = get(served.http, "/tf-bootable/ubuntu-tiny.flist");
    assert_eq!(tiny.status, 200, "readers go on");
    origin.heal();
    first.finish(Duration::from_secs(60)).assert_code(0);

    wait_until("what it published is served", || {
        get(served.http, app).status == 200
    });
    let end = served.process.interrupt();
    assert!(matches!(end.code(), 0 | 130), "{end}");
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
