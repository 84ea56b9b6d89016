//! Tests that need the laboratory.
//!
//! They run with `BCM_LAB=required` alone, as root on a host that `cargo lab doctor` is content with:
//! `bash .ci/run lab`, and one of them by `bash .ci/run lab:NAME`.

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
use bcm_tests::on_request::OnRequest;
use libtest_mimic::{Arguments, Failed};

/// A test's outcome; its message is printed where it fails.
type Outcome = Result<(), Failed>;

/// A test and its name.
type Test = (&'static str, fn() -> Outcome);

/// The tests of all modules; those that take long first, so that none of them is left at the end.
fn tests() -> Vec<Test> {
    [
        stack::TESTS,
        cluster::TESTS,
        onion::TESTS,
        engines::TESTS,
        prepare::TESTS,
        autoinstall::TESTS,
        client::TESTS,
        machines::TESTS,
        ssh::TESTS,
        cleanup::TESTS,
    ]
    .concat()
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Beside each other, since all of them wait for machines; but each test has some of its own.
    arguments.test_threads.get_or_insert(2);
    let group = OnRequest::new("BCM_LAB", || doctor::check().err().map(|e| e.to_string()));
    let trials = tests()
        .into_iter()
        .map(|(name, test)| group.trial(name, test))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    shared::end();
    conclusion.exit();
}
