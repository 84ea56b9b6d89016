//! `bcm host prepare` on a fresh machine, and back.

use std::thread;
use std::time::Duration;

use bcm_tests::bcm::{self, Running};
use bcm_tests::lab::Machine;
use libtest_mimic::Failed;

use crate::shared;
use crate::{Outcome, Test};

pub(crate) const TESTS: &[Test] = &[
    (
        "prepare::a_machine_is_prepared_once_and_given_back_as_it_was",
        a_machine_is_prepared_once_and_given_back_as_it_was,
    ),
    (
        "prepare::what_was_cut_off_is_taken_back",
        what_was_cut_off_is_taken_back,
    ),
];

const SOON: Duration = Duration::from_secs(60);

/// Every package and every file outside of logs, caches and lists; the copies that `useradd` keeps
/// of the files before the last change are left out.
const FINGERPRINT: &str = r#"
dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log \
    -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd \
    -o -path /var/backups -o -path /var/tmp -o -name '*-' -path '/etc/*' \) -prune \
    -o -printf '%p %y %m %u %g %l\n' | sort
find /etc /home -type f ! -name '*-' | sort | xargs -d '\n' md5sum
"#;

fn fingerprint(machine: &Machine) -> Result<String, Failed> {
    Ok(machine.root_script(FINGERPRINT, SOON)?)
}

fn prepare(host: &str, more: &[&str]) -> Result<bcm::Finished, Failed> {
    let config = shared::lab()?.ssh_config();
    let config = config.to_string_lossy();
    let words = [&["host", "prepare", host, "--ssh-config", &config], more].concat();
    Ok(bcm::run(words))
}

fn a_machine_is_prepared_once_and_given_back_as_it_was() -> Outcome {
    let machine = shared::fresh_machine()?;
    let key = shared::lab()?.identity().with_extension("pub");
    let key = key.to_string_lossy();
    let host = machine.name().to_owned();
    let wanted = ["--user", "op", "--key", &key];
    let before = fingerprint(&machine)?;

    // Nothing is done to a machine whose settings are broken already, or in a dry run.
    let broken = "/etc/ssh/sshd_config.d/99-broken.conf";
    machine.root_script(&format!("echo Nonsense yes >{broken}"), SOON)?;
    let refused = prepare(&host, &wanted)?.assert_code(1);
    assert!(
        refused.stderr.contains("is broken, and was so before"),
        "{}",
        refused.stderr
    );
    machine.root(&["rm", broken], SOON)?;
    let refused = prepare(&host, &["--user", "operator", "--key", &key])?.assert_code(1);
    assert!(
        refused.stderr.contains("a group operator"),
        "{}",
        refused.stderr
    );
    let planned = prepare(
        &host,
        &[&wanted[..], &["--dry-run", "--output", "json"]].concat(),
    )?;
    let planned = planned.assert_code(0).json()["changes"].clone();
    assert_eq!(before, fingerprint(&machine)?, "nothing was to be changed");

    let done = prepare(&host, &[&wanted[..], &["--output", "json"]].concat())?;
    let done = done.assert_code(0).json();
    assert_eq!(done["changes"], planned, "a dry run shows what is done");
    assert_eq!(done["reach"], format!("op@{host}"));
    let timers = machine.root(&["systemctl", "list-timers", "--all"], SOON)?;
    assert!(!timers.contains("bcm-sshd-rollback"), "{timers}");
    let settings = machine.root(&["sshd", "-T"], SOON)?;
    assert!(settings.contains("passwordauthentication no"), "{settings}");
    let again = prepare(&host, &[&wanted[..], &["--output", "json"]].concat())?;
    assert_eq!(
        again.assert_code(0).json()["changes"],
        serde_json::json!([])
    );

    let config = shared::lab()?.ssh_config();
    let config = config.to_string_lossy();
    let as_op = format!("op@{host}");
    bcm::run(["host", "check", &as_op, "--ssh-config", &config]).assert_code(0);
    let own = prepare(&as_op, &["--undo"])?.assert_code(1);
    assert!(
        own.stderr.contains("it would remove the user op"),
        "{}",
        own.stderr
    );
    prepare(&host, &["--undo"])?.assert_code(0);
    assert_eq!(before, fingerprint(&machine)?, "it was to be as before");
    let nothing = prepare(&host, &["--undo", "--output", "json"])?;
    assert_eq!(
        nothing.assert_code(0).json()["changes"],
        serde_json::json!([])
    );
    Ok(())
}

/// Whenever `bcm` ends, what it had begun on the machine ends before anything else begins there.
fn what_was_cut_off_is_taken_back() -> Outcome {
    let machine = shared::fresh_machine()?;
    let key = shared::lab()?.identity().with_extension("pub");
    let key = key.to_string_lossy();
    let config = shared::lab()?.ssh_config();
    let config = config.to_string_lossy();
    let reach = [machine.name(), "--ssh-config", &config];
    let before = fingerprint(&machine)?;
    for (round, wait) in [300, 700, 1_000, 1_400, 2_000, 3_000]
        .into_iter()
        .enumerate()
    {
        let mut words = vec!["host", "prepare", "--user", "op", "--key", &key];
        words.extend(reach);
        let running = Running::start(bcm::command(&words));
        thread::sleep(Duration::from_millis(wait));
        let ended = match round % 2 {
            0 => running.interrupt(),
            _ => running.kill(),
        };
        eprintln!("after {wait} ms: exit {}", ended.code());
        // At once: the earlier run may still be at work there.
        let mut words = vec!["host", "prepare", "--undo"];
        words.extend(reach);
        bcm::run(words).assert_code(0);
        assert_eq!(before, fingerprint(&machine)?, "cut off after {wait} ms");
    }
    Ok(())
}
