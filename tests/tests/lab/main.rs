//! Tests that need the laboratory.
//!
//! `cargo test -p bcm-tests --test lab` as root, on a host that `cargo lab doctor` is content with.
//! Elsewhere every test is listed as ignored with what it needs. With `BCM_LAB=required` they have
//! to run, and fail where they cannot; with `BCM_LAB=off` they are ignored anyway.

mod autoinstall;
mod cleanup;
mod client;
mod cluster;
mod engines;
mod image;
mod machines;
mod onion;
mod operator;
mod prepare;
mod shared;
mod ssh;
mod stack;

use bcm_tests::lab::doctor;
use libtest_mimic::{Arguments, Failed, Trial};

/// A test's outcome; its message is printed where it fails.
type Outcome = Result<(), Failed>;

/// A test and its name.
type Test = (&'static str, fn() -> Outcome);

/// The tests of all modules.
fn tests() -> Vec<Test> {
    [
        machines::TESTS,
        ssh::TESTS,
        prepare::TESTS,
        autoinstall::TESTS,
        onion::TESTS,
        cleanup::TESTS,
        cluster::TESTS,
        engines::TESTS,
        client::TESTS,
        stack::TESTS,
    ]
    .concat()
}

fn main() {
    let arguments = Arguments::from_args();
    #[allow(clippy::disallowed_methods, reason = "who runs the tests decides")]
    let wish = std::env::var("BCM_LAB").unwrap_or_default();
    let needs = match (wish.as_str(), doctor::check()) {
        ("required", _) | (_, Ok(())) if wish != "off" => None,
        (_, Err(missing)) => Some(missing.to_string()),
        (_, Ok(())) => Some("BCM_LAB is off".to_owned()),
    };
    let trials = tests()
        .into_iter()
        .map(|(name, test)| {
            let trial = Trial::test(name, test);
            match &needs {
                Some(needs) => trial.with_kind(needs.clone()).with_ignored_flag(true),
                None => trial,
            }
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    shared::end();
    conclusion.exit();
}
