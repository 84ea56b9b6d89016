//! Tests of the public interface: on this machine, and against a throw-away sshd on loopback that
//! needs neither root nor a free port of its own. Where there is no sshd, those are listed as
//! ignored.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a harness of its own hides from clippy that these are tests"
)]

mod commands;
mod connect;
mod files;
mod forward;
mod killed;
mod sshd;

use std::{future::Future, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};

/// Everything is over long before this, unless it hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// A test's outcome: `?` takes any error.
type Outcome = Result<(), Failed>;

/// Runs an async test to its end.
fn block_on(test: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LIMIT, test).await })
        .unwrap_or_else(|_| Err("the test hangs".into()))
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some(killed::HOLD) {
        return killed::hold();
    }
    let arguments = Arguments::from_args();
    let needs = sshd::missing();
    let over_ssh = [
        connect::TESTS,
        files::OVER_SSH,
        commands::OVER_SSH,
        forward::OVER_SSH,
        killed::TESTS,
    ]
    .concat();
    let local = [files::LOCAL, commands::LOCAL, forward::LOCAL].concat();
    let trials = over_ssh
        .into_iter()
        .map(|(name, test)| {
            let trial = Trial::test(format!("ssh::{name}"), test);
            match &needs {
                Some(needs) => trial.with_kind(needs.clone()).with_ignored_flag(true),
                None => trial,
            }
        })
        .chain(
            local
                .into_iter()
                .map(|(name, test)| Trial::test(format!("local::{name}"), test)),
        )
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test and its name.
type Test = (&'static str, fn() -> Outcome);
