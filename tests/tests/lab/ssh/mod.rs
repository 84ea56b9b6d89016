//! bcm-ssh and the sshd of real machines: another user, sudo, and what breaks between two machines.

mod out_of_reach;

use std::{
    fs,
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use bcm_ssh::{
    Command, ConnectError, Destination, ForwardError, HostKeyPolicy, PinnedKey, Privilege,
    ReadFile, Remote, RunError, Ssh, SshOptions, Upload,
};
use bcm_tests::lab::{Lab, Machine};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{
    Outcome, Test,
    shared::{fresh_machine, lab, machine},
};

pub(crate) const TESTS: &[Test] = &[
    ("ssh::by_name_address_and_ipv6", by_name_address_and_ipv6),
    ("ssh::host_keys", host_keys),
    ("ssh::sudo_and_none", sudo_and_none),
    ("ssh::files_of_root", files_of_root),
    (
        "ssh::a_deadline_ends_what_root_runs",
        a_deadline_ends_what_root_runs,
    ),
    ("ssh::a_socket_of_root", a_socket_of_root),
    ("ssh::a_changed_host_key", a_changed_host_key),
    ("ssh::reasons_why_not", reasons_why_not),
    (
        "ssh::a_power_cut_while_connected",
        out_of_reach::a_power_cut_while_connected,
    ),
    (
        "ssh::an_unplugged_machine",
        out_of_reach::an_unplugged_machine,
    ),
    (
        "ssh::through_a_jump_host",
        out_of_reach::through_a_jump_host,
    ),
];

fn block_on(test: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async { tokio::time::timeout(Duration::from_secs(180), test).await? })
}

/// Strict, with the lab's key and host keys.
fn options(lab: &Lab) -> SshOptions {
    SshOptions::new(HostKeyPolicy::Strict, std::env::temp_dir()).ssh_config(lab.ssh_config())
}

fn destination(user: &str, machine: &Machine) -> Destination {
    format!("{user}@{}", machine.name()).parse().unwrap()
}

async fn connect(user: &str, machine: &Machine) -> Result<Ssh, libtest_mimic::Failed> {
    let lab = lab()?;
    Ok(Ssh::connect(&destination(user, machine), &options(&lab)).await?)
}

fn by_name_address_and_ipv6() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, machine(1)?);
        let mut names = vec![machine.name().to_owned(), machine.address().to_string()];
        names.extend(machine.ipv6().map(|address| format!("[{address}]:22")));
        for name in names {
            let host = Ssh::connect(&format!("bcm@{name}").parse()?, &options(&lab)).await?;
            let output = host.run(Command::new("hostname")).await?;
            assert_eq!(output.stdout_text(), machine.name(), "{name}");
            host.close().await;
        }
        Ok(())
    })
}

fn host_keys() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, machine(1)?);
        let folder = tempfile::tempdir()?;
        let known_hosts = folder.path().join("known_hosts");
        let connect = async |policy| {
            let options = SshOptions::new(policy, std::env::temp_dir())
                .ssh_config("none")
                .known_hosts(&known_hosts)
                .identity(lab.identity());
            Ssh::connect(
                &format!("bcm@{}", machine.address()).parse().unwrap(),
                &options,
            )
            .await
        };
        let soon = Duration::from_secs(20);
        let line = machine.root(
            &["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"],
            soon,
        )?;
        let fingerprint = line.split(' ').nth(1).unwrap().to_owned();
        let error = connect(HostKeyPolicy::Strict).await.unwrap_err();
        assert!(
            matches!(&error, ConnectError::UnknownHostKey { offered: Some(key), .. }
            if key.fingerprint == fingerprint),
            "{error:?}"
        );
        let host = connect(HostKeyPolicy::Pinned(PinnedKey::Fingerprint(
            fingerprint.clone(),
        )))
        .await?;
        assert_eq!(host.host_key().unwrap().fingerprint, fingerprint);
        // The machine has keys of three kinds, and each can be pinned.
        for kind in ["rsa", "ecdsa", "ed25519"] {
            let path = format!("/etc/ssh/ssh_host_{kind}_key.pub");
            let key = machine.root(&["cat", &path], soon)?;
            let pin = PinnedKey::Public(key.trim().to_owned());
            connect(HostKeyPolicy::Pinned(pin))
                .await
                .map_err(|e| format!("{kind}: {e}"))?;
        }
        assert!(!known_hosts.exists());
        let host = connect(HostKeyPolicy::AcceptNew).await?;
        assert!(host.host_key().unwrap().added);
        connect(HostKeyPolicy::Strict).await?;
        Ok(())
    })
}

fn sudo_and_none() -> Outcome {
    block_on(async {
        let machine = machine(1)?;
        let id = || Command::new("id").arg("-un").privilege(Privilege::Root);
        let host = connect("bcm", &machine).await?;
        assert_eq!(host.run(id()).await?.stdout_text(), "root");
        let command = Command::script("echo $A; exit 1", [""; 0]).env("A", "b c");
        let output = host.run(command.privilege(Privilege::Root)).await?;
        assert_eq!((output.status, &*output.stdout_text()), (1, "b c"));
        let missing = Command::new("no-such-program").privilege(Privilege::Root);
        let error = host.run(missing).await.unwrap_err();
        assert!(matches!(error, RunError::NotFound { .. }), "{error:?}");

        let host = connect("plain", &machine).await?;
        assert_eq!(
            host.run(Command::new("id").arg("-un")).await?.stdout_text(),
            "plain"
        );
        let error = host.run(id()).await.unwrap_err();
        assert!(matches!(error, RunError::SudoPassword { .. }), "{error:?}");
        assert!(error.to_string().contains("asks for a password"), "{error}");

        // A machine without sudo at all.
        let machine = fresh_machine()?;
        let script = "SUDO_FORCE_REMOVE=yes dpkg --purge --force-all sudo";
        machine.root_script(script, Duration::from_secs(60))?;
        let error = connect("bcm", &machine).await?.run(id()).await.unwrap_err();
        assert!(
            matches!(&error, RunError::NoSudo { message, .. } if message == "not installed"),
            "{error:?}"
        );
        Ok(())
    })
}

fn files_of_root() -> Outcome {
    block_on(async {
        let machine = machine(2)?;
        let host = connect("bcm", &machine).await?;
        let path = "/etc/lab-secret";
        let upload = Upload::new(path, *b"secret\n", 0o640)
            .privilege(Privilege::Root)
            .owner("root:bcm");
        host.upload(upload).await?;
        let stat = machine.root(
            &["stat", "-c", "%a %U %G %s", path],
            Duration::from_secs(20),
        )?;
        assert_eq!(stat.trim(), "640 root bcm 7");
        let read = ReadFile::new(path, 100).privilege(Privilege::Root);
        assert_eq!(host.read_file(read).await?, b"secret\n");
        let plain = connect("plain", &machine).await?;
        assert!(plain.read_file(ReadFile::new(path, 100)).await.is_err());
        assert!(plain.upload(Upload::new(path, *b"x", 0o644)).await.is_err());
        Ok(())
    })
}

fn a_deadline_ends_what_root_runs() -> Outcome {
    block_on(async {
        let machine = machine(2)?;
        let host = connect("bcm", &machine).await?;
        let command = Command::script("echo $$ >/run/lab-pid; sleep 3600; true", [""; 0])
            .privilege(Privilege::Root)
            .deadline(Duration::from_secs(2));
        let error = host.run(command).await.unwrap_err();
        assert!(
            matches!(error, RunError::Timeout { ended: true, .. }),
            "{error:?}"
        );
        let left = machine.root_script(
            "if [ -e /proc/$(cat /run/lab-pid)/exe ]; then echo runs; fi; rm /run/lab-pid",
            Duration::from_secs(20),
        )?;
        assert_eq!(left, "");
        Ok(())
    })
}

/// An echo service on a socket of a machine, with this mode.
fn serve_echo(machine: &Machine, path: &str, mode: &str) -> Outcome {
    let perl = "use Socket; socket(L, PF_UNIX, SOCK_STREAM, 0); unlink $ARGV[0]; \
        bind(L, sockaddr_un($ARGV[0])) or die; chmod oct($ARGV[1]), $ARGV[0]; listen(L, 50); \
        $SIG{CHLD} = q(IGNORE); while (accept(C, L)) { if (!fork) { \
        while (sysread(C, $b, 65536)) { syswrite(C, $b) } exit } close C }";
    machine.root_script(
        &format!(
            "systemd-run --quiet perl -e '{perl}' {path} {mode}\n\
             for n in $(seq 100); do [ -S {path} ] && exit; sleep 0.1; done; exit 1"
        ),
        Duration::from_secs(30),
    )?;
    Ok(())
}

async fn ask(path: &Path, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let (mut read, mut write) = UnixStream::connect(path).await?.into_split();
    let question = question.to_vec();
    let sending = tokio::spawn(async move {
        write.write_all(&question).await?;
        write.shutdown().await
    });
    let mut answer = Vec::new();
    read.read_to_end(&mut answer).await?;
    sending.await??;
    Ok(answer)
}

fn a_socket_of_root() -> Outcome {
    block_on(async {
        let machine = machine(2)?;
        for (path, mode) in [
            ("/run/lab-root.sock", "0600"),
            ("/run/lab-all.sock", "0666"),
        ] {
            serve_echo(&machine, path, mode)?;
        }
        let host = connect("bcm", &machine).await?;
        for path in ["/run/lab-root.sock", "/run/lab-all.sock"] {
            let socket = host.forward_unix(path.as_ref(), Privilege::Root).await?;
            let question = vec![b'?'; 3_000_000];
            assert!(ask(socket.path(), &question).await? == question, "{path}");
            // More connections at a time than one SSH connection takes sessions.
            let mut asking = tokio::task::JoinSet::new();
            for number in 0..30u32 {
                let path = socket.path().to_owned();
                asking.spawn(async move { ask(&path, &number.to_be_bytes()).await });
            }
            while let Some(answer) = asking.join_next().await {
                assert_eq!(answer??.len(), 4);
            }
        }
        let denied = host
            .forward_unix("/run/lab-root.sock".as_ref(), Privilege::User)
            .await;
        assert!(
            matches!(denied, Err(ForwardError::Denied { .. })),
            "{denied:?}"
        );
        let none = host
            .forward_unix("/run/none.sock".as_ref(), Privilege::Root)
            .await;
        assert!(
            matches!(none, Err(ForwardError::NoSocket { .. })),
            "{none:?}"
        );
        let plain = connect("plain", &machine).await?;
        let denied = plain
            .forward_unix("/run/lab-root.sock".as_ref(), Privilege::Root)
            .await;
        let Err(ForwardError::Run { source, .. }) = denied else {
            panic!("{denied:?}");
        };
        assert!(
            matches!(*source, RunError::SudoPassword { .. }),
            "{source:?}"
        );
        host.close().await;
        // The relay went with the connection, and so did its folder.
        let start = Instant::now();
        let left = || {
            machine.root_script(
                "ls -d /tmp/bcm-* 2>/dev/null || true",
                Duration::from_secs(20),
            )
        };
        while !left()?.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", left()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    })
}

fn a_changed_host_key() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, fresh_machine()?);
        let soon = Duration::from_secs(60);
        connect("bcm", &machine).await?;
        let before = machine.root(
            &["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"],
            soon,
        )?;
        machine.root_script(
            "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh",
            soon,
        )?;
        machine.wait_ssh(soon)?;
        let after = machine.root(
            &["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"],
            soon,
        )?;
        let error = Ssh::connect(&destination("bcm", &machine), &options(&lab))
            .await
            .unwrap_err();
        let ConnectError::HostKeyChanged {
            known,
            offered,
            location,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert!(
            before.contains(&known.as_ref().unwrap().fingerprint),
            "{before} {error}"
        );
        assert!(
            after.contains(&offered.as_ref().unwrap().fingerprint),
            "{after} {error}"
        );
        let known_hosts = lab.known_hosts().display().to_string();
        assert!(
            location.as_ref().unwrap().starts_with(&known_hosts),
            "{error}"
        );
        Ok(())
    })
}

fn reasons_why_not() -> Outcome {
    block_on(async {
        let (lab, machine) = (lab()?, fresh_machine()?);
        let soon = options(&lab).connect_deadline(Duration::from_secs(5));
        let try_it = async |destination: Destination| {
            Ssh::connect(&destination, &soon)
                .await
                .err()
                .ok_or("connected")
        };
        let error = try_it(destination("nobody-here", &machine)).await?;
        assert!(
            matches!(&error, ConnectError::Denied { user: Some(u), .. } if u == "nobody-here"),
            "{error:?}"
        );
        let error = try_it(destination("root", &machine)).await?;
        assert!(matches!(error, ConnectError::Denied { .. }), "{error:?}");
        let error = try_it(destination("bcm", &machine).with_port(2222)).await?;
        assert!(
            matches!(
                error,
                ConnectError::Refused {
                    port: Some(2222),
                    ..
                }
            ),
            "{error:?}"
        );
        machine.root(
            &["usermod", "-s", "/usr/sbin/nologin", "plain"],
            Duration::from_secs(20),
        )?;
        let error = try_it(destination("plain", &machine)).await?;
        assert!(matches!(error, ConnectError::NoShell { .. }), "{error:?}");
        // A port that swallows everything, and a machine that stands still with its ports open.
        machine.drop_port(22)?;
        let error = try_it(destination("bcm", &machine)).await?;
        assert!(
            matches!(
                error,
                ConnectError::Unreachable { .. } | ConnectError::Timeout { .. }
            ),
            "{error:?}"
        );
        machine.undrop_port(22)?;
        machine.pause()?;
        let error = try_it(destination("bcm", &machine)).await?;
        assert!(
            matches!(
                error,
                ConnectError::Unreachable { .. } | ConnectError::Timeout { .. }
            ),
            "{error:?}"
        );
        machine.resume()?;
        connect("bcm", &machine).await?;
        machine.power_cut()?;
        let error = try_it(destination("bcm", &machine)).await?;
        assert!(
            matches!(
                error,
                ConnectError::Unreachable { .. } | ConnectError::Timeout { .. }
            ),
            "{error:?}"
        );
        Ok(())
    })
}
