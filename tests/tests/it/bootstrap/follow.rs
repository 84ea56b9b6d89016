//! `bcm bootstrap sync --follow`: what changes upstream is followed and said.

use bcm_bootstrap_sync::verify::verify;
use bcm_tests::bcm::{self, Running};
use bcm_tests::bootstrap::{Bootstrap, content};

use super::{Mirror, now};

#[test]
fn changes_are_followed_and_reported_until_it_is_stopped() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    let mut command = bcm::command(["bootstrap", "sync", "--follow", "--interval", "1s"]);
    command.args(["--delete-after", "1s", "--max-delete", "100%"]);
    command.args(["--upstream", &origin.url(), "--data"]);
    command.arg(mirror.layout.root());
    let mut running = Running::start(command);
    let mut until = |text: &str| running.wait_for(text, |said| said.contains(text).then_some(()));
    until("run mode qa: nothing -> zero-os-production-1.efi");

    let (old, new) = ("zero-os-production-2.efi", "zero-os-production-9.efi");
    origin.publish(new, now() - 9, content(new, 90_000));
    origin.link("prod", new);
    // A sync that listed the kernels before that gives it a name of its own until the next one.
    until(&format!("-> {new}"));

    let again = "zero-os-testing-3.efi";
    origin.publish(again, now() - 5, content("again", 123_456));
    until(&format!("replaced {again}"));

    origin.remove(old);
    until(&format!("kept     {old}"));
    until(&format!("deleted  {old}"));

    running.interrupt().assert_code(0);
    assert_eq!(mirror.kernel(again).unwrap(), content("again", 123_456));
    assert_eq!(mirror.link("prod").unwrap(), format!("../{new}"));
    assert_eq!(mirror.kernel(old), None);
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
    mirror.assert_tidy();
}
