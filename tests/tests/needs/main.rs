//! Tests that need something which not every machine lets them have. Where it is missing they are
//! listed as ignored under a name that says what they need; they never pass without having run.

mod full_disk;
mod full_points;

use std::process::{Command, ExitCode};

use bcm_tests::on_request::timed;
use libtest_mimic::{Arguments, Failed, Trial};

/// Something that a machine has or has not, and how to find out.
struct Need {
    name: &'static str,
    is_met: fn() -> bool,
}

const MOUNTS: Need = Need {
    name: "mounting a tmpfs in a namespace of its own",
    is_met: || {
        let script = "mount -t tmpfs -o size=64k none /mnt";
        let mut probe = Command::new("unshare");
        probe
            .args(full_disk::namespace())
            .args(["sh", "-c", script]);
        probe.output().is_ok_and(|output| output.status.success())
    },
};

fn trial(name: &str, need: &Need, run: fn()) -> Trial {
    let run = move || {
        std::panic::catch_unwind(run).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Failed::from(text.unwrap_or("it panicked"))
        })
    };
    if (need.is_met)() {
        timed(name, run)
    } else {
        Trial::test(format!("{name} (ignored, needs {})", need.name), run).with_ignored_flag(true)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial(
            "a_full_disk_loses_nothing",
            &MOUNTS,
            full_disk::loses_nothing,
        ),
        trial(
            "a_disk_that_is_full_at_any_step_loses_nothing",
            &MOUNTS,
            full_points::loses_nothing_at_any_step,
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
