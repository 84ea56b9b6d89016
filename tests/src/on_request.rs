//! Tests that take minutes, or need more of a machine than Rust: they run only on request.
//!
//! `cargo test --workspace` lists them as ignored, with what a run would need. Each group has a variable:
//! where it is `required`, as in `.ci/run`, its tests have to run, and fail where they cannot. Each says
//! how long it took.

use std::time::Instant;

use libtest_mimic::{Failed, Trial};

/// A group of such tests.
#[derive(Debug, Clone)]
pub struct OnRequest {
    /// Why they do not run; `None` on request.
    ignored: Option<String>,
}

impl OnRequest {
    /// The group that the environment variable `variable` requests. `missing` finds out what this machine
    /// lacks, and is asked only where the tests do not run: where they do, they say so themselves.
    pub fn new(variable: &str, missing: impl FnOnce() -> Option<String>) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "whoever runs the tests requests them by a variable"
        )]
        let requested = std::env::var(variable).is_ok_and(|value| value == "required");
        Self {
            ignored: (!requested).then(|| {
                let missing = missing().map(|missing| format!("; missing here: {missing}"));
                format!("{variable}=required{}", missing.unwrap_or_default())
            }),
        }
    }

    /// Whether they run.
    pub fn is_requested(&self) -> bool {
        self.ignored.is_none()
    }

    /// A test of the group.
    pub fn trial(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        let trial = timed(name, run);
        match &self.ignored {
            None => trial,
            Some(why) => trial.with_kind(why.clone()).with_ignored_flag(true),
        }
    }
}

/// A test that says on stdout how long it took, as `.ci/run` reads it.
pub fn timed(name: &str, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let said = name.to_owned();
    Trial::test(name, move || {
        let begin = Instant::now();
        let outcome = run();
        println!("{said} took {:.1} s", begin.elapsed().as_secs_f64());
        outcome
    })
}
