//! What `bcm host check` says, without a machine that is fit.

use crate::sandbox::Sandbox;

#[test]
fn a_host_that_is_out_of_reach_is_unhealthy() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run("host check nobody@127.0.0.1:1");
    assert!(shown.starts_with("exit code: 4\n"), "{shown}");
    assert!(
        shown.contains("127.0.0.1, which is this machine itself"),
        "{shown}"
    );
    assert!(
        shown.contains("a cluster cannot be made of this yet"),
        "{shown}"
    );
}

#[test]
fn the_same_host_twice_is_usage() {
    let shown = Sandbox::new().run("host check a@node1 a@node1");
    assert!(shown.starts_with("exit code: 2\n"), "{shown}");
    assert!(shown.contains("a@node1"), "{shown}");
}
