use std::{os::unix::fs::PermissionsExt, sync::Mutex};

use super::*;

const LIMIT: Duration = Duration::from_secs(120);

/// A program that behaves as Tor does, as far as its keeper sees.
fn fake(folder: &Path, script: &str) -> OwnTor {
    let program = folder.join("fake-tor");
    std::fs::write(
        &program,
        format!("#!/bin/sh\ncd {}\n{script}", folder.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    OwnTor::new(folder.join("tor"), folder.join("auth")).program(program)
}

/// Starts keepers as tasks, in the place of processes of their own.
fn starter(tor: &OwnTor, idle: Duration) -> impl Fn() -> io::Result<()> + use<> {
    let tor = tor.clone();
    move || {
        let tor = tor.clone();
        tokio::spawn(async move { keep(&tor, idle).await });
        Ok(())
    }
}

async fn gone(path: &Path) {
    while path.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const READY: &str = "echo run >>runs\necho $$ >pid\n\
    trap 'echo hup >>hups; echo Read configuration file' HUP\n\
    trap 'exit 0' TERM\n\
    echo 'x [notice] Bootstrapped 5% (conn): Connecting'\n\
    echo 'x [notice] Bootstrapped 100% (done): Done'\nwhile :; do sleep 0.02; done\n";

#[tokio::test]
async fn one_tor_serves_all_and_ends_when_nobody_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let tor = fake(folder.path(), READY);
    // Longer than until the first asks for the one that was started for it.
    let start = starter(&tor, Duration::from_secs(2));
    let said = Mutex::new(Vec::new());
    let say = |text: &str| said.lock().unwrap().push(text.to_owned());
    let first = lease(&tor, &start, LIMIT, say);
    let second = lease(&tor, &start, LIMIT, |_| {});
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first.unwrap(), second.unwrap());
    let runs = std::fs::read_to_string(folder.path().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
    let torrc = std::fs::read_to_string(folder.path().join("tor/torrc")).unwrap();
    assert!(torrc.contains("ExtendedErrors"), "{torrc}");
    for private in ["tor", "auth"] {
        let of = std::fs::metadata(folder.path().join(private)).unwrap();
        assert_eq!(of.permissions().mode() & 0o777, 0o700, "{private}");
    }

    // A key that came meanwhile is read before the next is told that all is ready.
    std::fs::write(folder.path().join("auth/n.auth_private"), "key").unwrap();
    let third = lease(&tor, &start, LIMIT, |_| {}).await.unwrap();
    let hups = std::fs::read_to_string(folder.path().join("hups")).unwrap();
    assert_eq!(hups, "hup\n");

    drop((first, second, third));
    gone(&tor.lease_socket()).await;
}

#[tokio::test]
async fn what_tor_said_is_told_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let tor = fake(
        folder.path(),
        "echo '[warn] Failed to parse'\necho '[err] Reading config failed'\nexit 1\n",
    );
    let error = lease(&tor, starter(&tor, LIMIT), LIMIT, |_| {})
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("Reading config failed"),
        "{error}"
    );

    let tor = tor.program("/nonexistent/tor");
    stop(&tor).await;
    gone(&tor.lease_socket()).await;
    let error = lease(&tor, starter(&tor, LIMIT), LIMIT, |_| {})
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot start /nonexistent/tor"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tor_that_is_not_ready_in_time_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let tor = fake(
        folder.path(),
        "echo 'Bootstrapped 10% (conn_done): Connected'\nexec sleep 1000\n",
    );
    let start = starter(&tor, LIMIT);
    // Until its first words are there, however long that takes.
    let mut limit = Duration::from_millis(300);
    loop {
        let error = lease(&tor, &start, limit, |_| {}).await.unwrap_err();
        assert!(matches!(error, TorError::Late { .. }), "{error}");
        if error.to_string().contains("10% (conn_done)") {
            break;
        }
        limit *= 2;
    }
    // Whoever asks for it ends it at once.
    stop(&tor).await;
    gone(&tor.lease_socket()).await;
}

#[tokio::test]
async fn what_was_told_to_end_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    // One that takes its time, and writes until the end.
    let slow = READY.replace(
        "trap 'exit 0' TERM",
        "trap 'sleep 0.5; echo state >tor/state; exit 0' TERM",
    );
    assert_ne!(slow, READY);
    let tor = fake(folder.path(), &slow);
    let start = starter(&tor, LIMIT);
    let lease = lease(&tor, &start, LIMIT, |_| {}).await.unwrap();
    stop(&tor).await;
    assert!(folder.path().join("tor/state").exists());
    drop(lease);
}

#[tokio::test]
async fn a_folder_that_is_too_deep_is_named() {
    let tor = OwnTor::new(format!("/{}", "x".repeat(120)), "/auth");
    let error = lease(&tor, || Ok(()), LIMIT, |_| {}).await.unwrap_err();
    assert!(matches!(error, TorError::FolderTooLong { .. }), "{error}");
}

#[test]
fn paths_stand_in_a_torrc_as_they_are() {
    assert_eq!(quoted(Path::new("/a b/\"c\\")), "\"/a b/\\\"c\\\\\"");
}
