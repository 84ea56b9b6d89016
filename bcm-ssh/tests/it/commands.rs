//! Commands, on this machine and over SSH: the same tests.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bcm_ssh::{Command, Local, OutputLine, Privilege, Remote, RunError};

use crate::{Outcome, Test, block_on, sshd::Sshd};

macro_rules! both {
    ($($test:ident),* $(,)?) => {
        pub(crate) const LOCAL: &[Test] = &[
            $((stringify!($test), || block_on($test(&Local::new())))),*
        ];
        pub(crate) const OVER_SSH: &[Test] = &[
            $((stringify!($test), || block_on(async {
                let sshd = Sshd::start();
                $test(&sshd.connect().await).await
            }))),*,
            ("a_broken_connection", a_broken_connection),
            ("many_at_once", many_at_once),
        ];
    };
}

both!(
    status_and_output,
    arguments_arrive_as_they_are,
    stdin_arrives,
    a_pinned_environment,
    variables,
    what_is_missing,
    a_deadline_ends_the_program,
    a_deadline_kills_what_does_not_end,
    too_much_output,
    lines_as_they_come,
    invalid_commands,
    dropping_ends_it_here,
);

async fn status_and_output(host: &dyn Remote) -> Outcome {
    let command = Command::script("echo out; echo err >&2; exit 3", [""; 0]);
    let output = host.run(command.clone()).await?;
    assert_eq!(
        (output.status, &*output.stdout, &*output.stderr),
        (3, &b"out\n"[..], &b"err\n"[..])
    );
    let error = output.or_error(host.host(), &command).unwrap_err();
    assert!(
        matches!(&error, RunError::Failed { status: 3, said, .. } if said == "err"),
        "{error:?}"
    );
    for status in [1, 126, 127, 255] {
        let output = host
            .run(Command::script("exit $1", [status.to_string()]))
            .await?;
        assert_eq!(output.status, status);
    }
    Ok(())
}

async fn arguments_arrive_as_they_are(host: &dyn Remote) -> Outcome {
    let odd = [
        "a b",
        "it's",
        "$HOME `x` $(y)",
        "\\",
        "*",
        "",
        "-n",
        "two\nlines",
        "ü\u{1f980}",
    ];
    let command = Command::new("printf").arg("%s|").args(odd);
    let output = host.run(command).await?;
    assert_eq!(
        String::from_utf8(output.stdout)?,
        odd.map(|w| format!("{w}|")).concat()
    );
    Ok(())
}

async fn stdin_arrives(host: &dyn Remote) -> Outcome {
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let output = host.run(Command::new("cat").stdin(bytes.clone())).await?;
    assert!(output.stdout == bytes);
    // A program that does not read it, and one that gets none.
    assert!(host.run(Command::new("true").stdin(bytes)).await?.success());
    assert_eq!(host.run(Command::new("cat")).await?.stdout, b"");
    Ok(())
}

async fn a_pinned_environment(host: &dyn Remote) -> Outcome {
    let output = host
        .run(Command::script(
            "echo $LC_ALL; command -v ls; echo $PATH",
            [""; 0],
        ))
        .await?;
    let text = output.stdout_text();
    assert!(text.starts_with("C\n"), "{text}");
    assert!(text.contains(":/usr/sbin"), "{text}");
    let error = host.run(Command::new("ls").arg("/nonexistent")).await?;
    assert!(
        error.stderr_text().contains("No such file or directory"),
        "{error:?}"
    );
    Ok(())
}

async fn variables(host: &dyn Remote) -> Outcome {
    let command = Command::script("printf %s \"$A_1\"", [""; 0]).env("A_1", "x y=z'\n$Q");
    assert_eq!(host.run(command).await?.stdout, b"x y=z'\n$Q");
    Ok(())
}

async fn what_is_missing(host: &dyn Remote) -> Outcome {
    for program in ["no-such-program", "/nonexistent/program"] {
        let error = host.run(Command::new(program)).await.unwrap_err();
        assert!(
            matches!(&error, RunError::NotFound { program: p, .. } if p == program),
            "{error:?}"
        );
    }
    Ok(())
}

fn processes_of(marker: &str) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let command_line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // Neither the ssh that carries it, nor a shell that has it in its script.
        let sleeping = command_line.starts_with(b"sleep\0");
        if sleeping && String::from_utf8_lossy(&command_line).contains(marker) {
            found += 1;
        }
    }
    found
}

/// Runs a script that says `begun` and does not end by itself, until the deadline finds it begun,
/// however long that takes.
async fn over_its_deadline(host: &dyn Remote, script: &str, argument: &str) {
    let mut deadline = Duration::from_secs(1);
    loop {
        let command = Command::script(script, [argument]).deadline(deadline);
        let error = host.run(command).await.unwrap_err();
        let RunError::Timeout { ended, said, .. } = &error else {
            panic!("{error:?}");
        };
        if said == "begun" {
            assert!(*ended, "{error}");
            return;
        }
        assert_eq!(said, "");
        deadline *= 2;
    }
}

async fn a_deadline_ends_the_program(host: &dyn Remote) -> Outcome {
    // A time that no other sleeps.
    let time = format!("600.{}", std::process::id());
    over_its_deadline(host, "echo begun; sleep $1; echo over", &time).await;
    if host.host() == "this machine" {
        assert_eq!(processes_of(&time), 0);
    }
    Ok(())
}

async fn a_deadline_kills_what_does_not_end(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pid");
    let script = "trap '' TERM; echo $$ >\"$1\"; echo begun; while :; do sleep 0.1; done";
    over_its_deadline(host, script, file.to_str().unwrap()).await;
    let pid = std::fs::read_to_string(file)?;
    assert!(!Path::new("/proc").join(pid.trim()).join("exe").exists());
    Ok(())
}

async fn too_much_output(host: &dyn Remote) -> Outcome {
    let command = Command::new("yes").output_limit(100_000);
    let error = host.run(command).await.unwrap_err();
    assert!(
        matches!(error, RunError::TooMuchOutput { limit: 100_000, .. }),
        "{error:?}"
    );
    Ok(())
}

async fn lines_as_they_come(host: &dyn Remote) -> Outcome {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let folder = tempfile::tempdir()?;
    let go_on = folder.path().join("go-on");
    // It says no more until it is told that two lines were seen.
    let script = "echo one; echo two >&2; until [ -e \"$1\" ]; do sleep 0.02; done; printf three";
    let command = Command::script(script, [go_on.to_str().unwrap()]).watch(move |line| {
        let mut seen = seen.lock().unwrap();
        seen.push(match line {
            OutputLine::Stdout(text) => format!("out {text}"),
            OutputLine::Stderr(text) => format!("err {text}"),
            _ => unreachable!(),
        });
        if seen.len() == 2 {
            std::fs::write(&go_on, "").unwrap();
        }
    });
    let output = host.run(command).await?;
    let mut lines = lines.lock().unwrap().clone();
    assert_eq!(lines.last().unwrap(), "out three");
    lines.sort();
    assert_eq!(lines, ["err two", "out one", "out three"]);
    assert_eq!(output.stdout, b"one\nthree");
    Ok(())
}

async fn invalid_commands(host: &dyn Remote) -> Outcome {
    for command in [
        Command::new(""),
        Command::new("a\0b"),
        Command::new("a").env("B-C", ""),
    ] {
        let error = host.run(command).await.unwrap_err();
        assert!(matches!(error, RunError::Invalid { .. }), "{error:?}");
    }
    Ok(())
}

async fn dropping_ends_it_here(host: &dyn Remote) -> Outcome {
    let begun = Arc::new(tokio::sync::Notify::new());
    let told = begun.clone();
    let command =
        Command::script("echo begun; sleep 15", [""; 0]).watch(move |_| told.notify_one());
    tokio::select! {
        ended = host.run(command) => panic!("{ended:?}"),
        () = begun.notified() => {}
    }
    // The connection is as good as before.
    assert!(host.run(Command::new("true")).await?.success());
    Ok(())
}

fn a_broken_connection() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let host = sshd.connect().await;
        // A session's shell is a child of the connection's own sshd.
        let command =
            Command::script("kill -9 $PPID; sleep 15", [""; 0]).deadline(Duration::from_secs(30));
        let error = host.run(command).await.unwrap_err();
        assert!(matches!(error, RunError::Lost { .. }), "{error:?}");
        assert!(!host.is_connected().await);
        let error = host.run(Command::new("true")).await.unwrap_err();
        assert!(matches!(error, RunError::Lost { .. }), "{error:?}");
        Ok(())
    })
}

fn many_at_once() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let host = Arc::new(sshd.connect().await);
        // More than sshd takes on one connection: they wait for each other.
        let mut running = tokio::task::JoinSet::new();
        for number in 0..25 {
            let host = host.clone();
            running.spawn(async move {
                let command = Command::script("sleep 0.05; echo $1", [number.to_string()])
                    .privilege(Privilege::User);
                host.run(command)
                    .await
                    .map(|output| output.stdout_text().into_owned())
            });
        }
        let mut numbers: Vec<u32> = Vec::new();
        while let Some(output) = running.join_next().await {
            numbers.push(output??.parse()?);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..25).collect::<Vec<_>>());
        Ok(())
    })
}
