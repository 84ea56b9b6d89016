//! A mirror can be mirrored in turn.

use bcm_tests::bcm;
use bcm_tests::mirror::{Mirror, Served, blocks_of};
use bcm_tests::origin::Origin;

fn sync_from(mirror: &Mirror, upstream: &Served) -> bcm::Finished {
    let (http, zdb) = (upstream.http, upstream.zdb);
    let mut command = bcm::command(["hub", "sync", "--upstream"]);
    command.arg(format!("http://{http}"));
    command
        .arg("--upstream-zdb")
        .arg(format!("zdb://{zdb}/default"));
    command.arg("--data").arg(mirror.data());
    bcm::Running::start(command).finish(std::time::Duration::from_secs(120))
}

#[test]
fn a_mirror_of_a_mirror_is_the_same() {
    let origin = Origin::recorded();
    let first = Mirror::new();
    first.sync(&origin, &[]).assert_code(0);
    let first_served = first.serve();
    let second = Mirror::new();
    sync_from(&second, &first_served).assert_code(0);
    first
        .users()
        .assert_same(&second.users(), "the second mirror");
    let second_served = second.serve();
    assert!(
        blocks_of(first_served.zdb) == blocks_of(second_served.zdb),
        "the blocks differ"
    );
    second.verify().assert_code(0);
}
