//! Connecting: host keys, and the reasons why not.

use std::{fs, net::TcpListener, time::Duration};

use bcm_ssh::{Command, ConnectError, HostKeyPolicy, PinnedKey, Remote, Ssh};

use crate::{
    Outcome, Test, block_on,
    sshd::{Sshd, fingerprint, keygen},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_known_key_is_believed", a_known_key_is_believed),
    ("an_unknown_key_is_not", an_unknown_key_is_not),
    ("a_new_key_is_accepted_once", a_new_key_is_accepted_once),
    (
        "a_changed_key_stops_everything",
        a_changed_key_stops_everything,
    ),
    ("pinned_keys", pinned_keys),
    ("a_wrong_user_or_key", a_wrong_user_or_key),
    ("a_closed_port", a_closed_port),
    ("a_name_without_address", a_name_without_address),
    ("a_server_that_never_answers", a_server_that_never_answers),
    ("a_server_that_hangs_up", a_server_that_hangs_up),
    ("a_user_without_shell", a_user_without_shell),
    ("a_wrong_configuration", a_wrong_configuration),
    ("an_alias_and_a_proxy_command", an_alias_and_a_proxy_command),
    ("a_jump_host", a_jump_host),
    ("no_ssh_and_no_folder", no_ssh_and_no_folder),
    (
        "the_control_socket_is_private",
        the_control_socket_is_private,
    ),
    (
        "nothing_is_left_after_closing",
        nothing_is_left_after_closing,
    ),
];

fn failure(sshd: &Sshd, result: Result<Ssh, ConnectError>) -> ConnectError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("connected:\n{}", sshd.log()),
    }
}

/// What connecting with this policy fails with.
async fn refused(sshd: &Sshd, policy: HostKeyPolicy) -> ConnectError {
    let options = sshd.options(policy);
    failure(sshd, Ssh::connect(&sshd.destination(), &options).await)
}

fn a_known_key_is_believed() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let host = sshd.connect().await;
        let key = host.host_key().unwrap();
        assert_eq!(key.fingerprint, sshd.fingerprint());
        assert_eq!((&*key.algorithm, key.added), ("ssh-ed25519", false));
        assert!(host.is_connected().await);
        assert_eq!(
            host.run(Command::new("echo").arg("hi"))
                .await?
                .stdout_text(),
            "hi"
        );
        host.close().await;
        Ok(())
    })
}

fn an_unknown_key_is_not() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let error = refused(&sshd, HostKeyPolicy::Strict).await;
        let ConnectError::UnknownHostKey { offered, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(offered.as_ref().unwrap().fingerprint, sshd.fingerprint());
        assert!(error.to_string().contains(&sshd.fingerprint()));
        assert!(!sshd.path("known_hosts").exists());
        Ok(())
    })
}

fn a_new_key_is_accepted_once() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let options = sshd.options(HostKeyPolicy::AcceptNew);
        for added in [true, false] {
            let host = Ssh::connect(&sshd.destination(), &options).await?;
            let key = host.host_key().unwrap();
            assert_eq!((&key.fingerprint, key.added), (&sshd.fingerprint(), added));
        }
        assert!(fs::read_to_string(sshd.path("known_hosts"))?.contains(&sshd.public_key()));
        Ok(())
    })
}

fn a_changed_key_stops_everything() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        keygen(&sshd.path("other"));
        let other = fs::read_to_string(sshd.path("other.pub"))?;
        sshd.know(other.trim());
        for policy in [HostKeyPolicy::Strict, HostKeyPolicy::AcceptNew] {
            let error = refused(&sshd, policy).await;
            let ConnectError::HostKeyChanged {
                known,
                offered,
                location,
                ..
            } = &error
            else {
                panic!("{error:?}");
            };
            assert_eq!(
                known.as_ref().unwrap().fingerprint,
                fingerprint(&sshd.path("other.pub"))
            );
            assert_eq!(offered.as_ref().unwrap().fingerprint, sshd.fingerprint());
            let place = format!("{}:2", sshd.path("known_hosts").display());
            assert_eq!(location.as_deref(), Some(&*place));
        }
        Ok(())
    })
}

fn pinned_keys() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        keygen(&sshd.path("other"));
        let other = fs::read_to_string(sshd.path("other.pub"))?
            .trim()
            .to_owned();
        // What known_hosts says does not matter.
        sshd.know(&other);
        let pins = [
            PinnedKey::Public(format!("{} somebody@there", sshd.public_key())),
            PinnedKey::Fingerprint(sshd.fingerprint()),
        ];
        for pin in pins {
            let options = sshd.options(HostKeyPolicy::Pinned(pin.clone()));
            let host = Ssh::connect(&sshd.destination(), &options).await;
            let host = host.map_err(|error| format!("{pin:?}: {error}\n{}", sshd.log()))?;
            assert_eq!(host.host_key().unwrap().fingerprint, sshd.fingerprint());
        }
        let wrong = [
            PinnedKey::Public(other),
            PinnedKey::Fingerprint(fingerprint(&sshd.path("other.pub"))),
        ];
        for pin in wrong {
            let error = refused(&sshd, HostKeyPolicy::Pinned(pin.clone())).await;
            let ConnectError::PinMismatch {
                pinned, offered, ..
            } = &error
            else {
                panic!("{error:?}");
            };
            assert_eq!(pinned, &pin);
            assert_eq!(offered.as_ref().unwrap().fingerprint, sshd.fingerprint());
        }
        let nonsense = PinnedKey::Fingerprint("SHA256:'; touch /tmp/x; '".into());
        let error = refused(&sshd, HostKeyPolicy::Pinned(nonsense)).await;
        assert!(matches!(error, ConnectError::Pin(_)), "{error:?}");
        Ok(())
    })
}

fn a_wrong_user_or_key() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        sshd.know(&sshd.public_key());
        let options = sshd.options(HostKeyPolicy::Strict);
        let nobody = sshd.destination().with_user("no-such-user")?;
        let error = failure(&sshd, Ssh::connect(&nobody, &options).await);
        assert!(
            matches!(&error, ConnectError::Denied { user: Some(user), .. } if user == "no-such-user"),
            "{error:?}"
        );
        keygen(&sshd.path("other"));
        let options = options.identity(sshd.path("other"));
        let error = failure(&sshd, Ssh::connect(&sshd.destination(), &options).await);
        assert!(matches!(error, ConnectError::Denied { .. }), "{error:?}");
        Ok(())
    })
}

fn a_closed_port() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let closed = sshd.destination().with_port(port);
        let options = sshd.options(HostKeyPolicy::Strict);
        let error = failure(&sshd, Ssh::connect(&closed, &options).await);
        assert!(
            matches!(error, ConnectError::Refused { port: Some(p), .. } if p == port),
            "{error:?}"
        );
        Ok(())
    })
}

fn a_name_without_address() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let options = sshd.options(HostKeyPolicy::Strict);
        // RFC 6761: resolvers answer for these names themselves.
        let error = failure(
            &sshd,
            Ssh::connect(&"node.invalid".parse()?, &options).await,
        );
        assert!(
            matches!(&error, ConnectError::Resolve { host, .. } if host == "node.invalid"),
            "{error:?}"
        );
        Ok(())
    })
}

fn a_server_that_never_answers() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let destination = silent.local_addr()?.to_string().parse()?;
        let options = sshd
            .options(HostKeyPolicy::Strict)
            .connect_deadline(Duration::from_millis(300));
        let error = failure(&sshd, Ssh::connect(&destination, &options).await);
        assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
        assert!(error.to_string().contains("last seen: "), "{error}");
        Ok(())
    })
}

fn a_server_that_hangs_up() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let rude = TcpListener::bind("127.0.0.1:0")?;
        let destination = rude.local_addr()?.to_string().parse()?;
        std::thread::spawn(move || rude.incoming().for_each(drop));
        let error = failure(
            &sshd,
            Ssh::connect(&destination, &sshd.options(HostKeyPolicy::Strict)).await,
        );
        assert!(matches!(error, ConnectError::Closed { .. }), "{error:?}");
        Ok(())
    })
}

fn a_user_without_shell() -> Outcome {
    block_on(async {
        let sshd = Sshd::with("ForceCommand echo This account is currently not available.");
        sshd.know(&sshd.public_key());
        let error = refused(&sshd, HostKeyPolicy::Strict).await;
        assert!(
            matches!(&error, ConnectError::NoShell { message, .. } if message.contains("not available")),
            "{error:?}"
        );
        Ok(())
    })
}

fn a_wrong_configuration() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        fs::write(sshd.path("ssh_config"), "Hots x\n")?;
        let error = refused(&sshd, HostKeyPolicy::Strict).await;
        assert!(
            matches!(&error, ConnectError::Configuration(text) if text.contains("hots")),
            "{error:?}"
        );
        Ok(())
    })
}

/// A configuration in which `host` is the sshd, known by that name.
fn alias(sshd: &Sshd, host: &str, more: &str) -> String {
    let line = format!("{host} {}\n", sshd.public_key());
    let known = sshd.path("known_hosts");
    let before = fs::read_to_string(&known).unwrap_or_default();
    fs::write(&known, before + &line).unwrap();
    format!(
        "Host {host}\n  HostName 127.0.0.1\n  Port {}\n  HostKeyAlias {host}\n  IdentityFile {}\n  \
         IdentitiesOnly yes\n  UserKnownHostsFile {}\n  {more}\n",
        sshd.address.port(),
        sshd.path("id").display(),
        known.display()
    )
}

fn an_alias_and_a_proxy_command() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        // The proxy command leads to the sshd; the address leads nowhere. What the configuration
        // says about other things must not get in the way.
        let script = format!(
            "use Socket; socket(S, PF_INET, SOCK_STREAM, 0); \
             connect(S, pack_sockaddr_in({}, inet_aton(q(127.0.0.1)))) or die; \
             if (fork) {{ while (sysread(STDIN, $b, 4096)) {{ syswrite(S, $b) }} shutdown(S, 1) }} \
             else {{ while (sysread(S, $b, 4096)) {{ syswrite(STDOUT, $b) }} }}",
            sshd.address.port()
        );
        fs::write(sshd.path("proxy.pl"), script)?;
        let more = format!(
            "ProxyCommand perl {}\n  RequestTTY force\n  RemoteCommand false\n  \
             LocalForward 1 127.0.0.1:1\n  LogLevel QUIET\n  ControlMaster auto\n  ControlPath none",
            sshd.path("proxy.pl").display()
        );
        let config =
            alias(&sshd, "inside", &more).replace("HostName 127.0.0.1", "HostName 192.0.2.1");
        fs::write(sshd.path("ssh_config"), config)?;
        let options = sshd.options(HostKeyPolicy::Strict);
        let host = Ssh::connect(&"inside".parse()?, &options).await?;
        assert_eq!(
            host.run(Command::new("echo").arg("hi"))
                .await?
                .stdout_text(),
            "hi"
        );
        assert_eq!(Remote::host(&host), "inside");
        Ok(())
    })
}

fn a_jump_host() -> Outcome {
    block_on(async {
        let (gate, inside) = (Sshd::start(), Sshd::start());
        let config = alias(&gate, "gate", "") + &alias(&inside, "inside", "ProxyJump gate");
        fs::write(inside.path("ssh_config"), &config)?;
        let options = inside.options(HostKeyPolicy::Strict);
        let host = Ssh::connect(&"inside".parse()?, &options).await?;
        assert_eq!(host.host_key().unwrap().fingerprint, inside.fingerprint());
        assert!(host.run(Command::new("true")).await?.success());
        // The gate's own key is checked, too, and it is the gate that the error is about.
        fs::write(
            gate.path("known_hosts"),
            format!("gate {}\n", inside.public_key()),
        )?;
        let error = failure(&inside, Ssh::connect(&"inside".parse()?, &options).await);
        assert!(
            matches!(error, ConnectError::HostKeyChanged { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("gate"), "{error}");
        Ok(())
    })
}

fn no_ssh_and_no_folder() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let options = sshd.options(HostKeyPolicy::Strict);
        let connect =
            async |options| failure(&sshd, Ssh::connect(&sshd.destination(), &options).await);
        let error = connect(options.clone().program("/nonexistent/ssh")).await;
        assert!(matches!(error, ConnectError::Start { .. }), "{error:?}");
        let gone = bcm_ssh::SshOptions::new(HostKeyPolicy::Strict, "/nonexistent");
        let error = connect(gone).await;
        assert!(
            matches!(error, ConnectError::ControlFolder { .. }),
            "{error:?}"
        );
        let long = sshd.path(&"x".repeat(90));
        fs::create_dir(&long)?;
        let error = connect(bcm_ssh::SshOptions::new(HostKeyPolicy::Strict, long)).await;
        assert!(
            matches!(error, ConnectError::ControlFolderTooLong { .. }),
            "{error:?}"
        );
        Ok(())
    })
}

/// The folders of connections inside the test's own.
fn control_folders(sshd: &Sshd) -> Vec<fs::DirEntry> {
    fs::read_dir(sshd.folder.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("bcm-"))
        .collect()
}

fn the_control_socket_is_private() -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    block_on(async {
        let sshd = Sshd::start();
        let host = sshd.connect().await;
        let folders = control_folders(&sshd);
        assert_eq!(folders.len(), 1);
        assert_eq!(folders[0].metadata()?.permissions().mode() & 0o777, 0o700);
        drop(host);
        assert!(control_folders(&sshd).is_empty());
        Ok(())
    })
}

fn nothing_is_left_after_closing() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        for close in [true, false] {
            let host = sshd.connect().await;
            let output = host.run(Command::script("echo $PPID", [""; 0])).await?;
            let sshd_of_it = output.stdout_text().trim().to_owned();
            if close {
                host.close().await;
            } else {
                drop(host);
            }
            // The sshd of this connection ends when the connection does.
            for _ in 0..3000 {
                if !std::path::Path::new("/proc").join(&sshd_of_it).exists() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(
                !std::path::Path::new("/proc").join(&sshd_of_it).exists(),
                "close: {close}"
            );
            assert!(control_folders(&sshd).is_empty());
        }
        Ok(())
    })
}
