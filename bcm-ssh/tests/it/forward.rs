//! Unix sockets, on this machine and over SSH: the same tests.

use std::time::Duration;

use bcm_ssh::{Command, ForwardError, Local, Privilege, Remote};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::{Outcome, Test, block_on, sshd::Sshd};

pub(crate) const LOCAL: &[Test] = &[
    ("a_socket_is_reached", || {
        block_on(a_socket_is_reached(&Local::new()))
    }),
    ("what_is_no_socket", || {
        block_on(what_is_no_socket(&Local::new()))
    }),
];

pub(crate) const OVER_SSH: &[Test] = &[
    ("a_socket_is_reached", || {
        block_on(async {
            let sshd = Sshd::start();
            a_socket_is_reached(&sshd.connect().await).await
        })
    }),
    ("what_is_no_socket", || {
        block_on(async {
            let sshd = Sshd::start();
            what_is_no_socket(&sshd.connect().await).await
        })
    }),
    ("a_refused_forward", a_refused_forward),
    (
        "a_forwarded_socket_goes_with_its_value",
        a_forwarded_socket_goes_with_its_value,
    ),
    ("a_way_that_is_gone_says_so", a_way_that_is_gone_says_so),
];

/// A socket that sends back what it gets, in capitals, when the sender has finished.
fn shout(listener: UnixListener) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut text = Vec::new();
                stream.read_to_end(&mut text).await.unwrap();
                stream.write_all(&text.to_ascii_uppercase()).await.unwrap();
            });
        }
    });
}

async fn ask(path: &std::path::Path, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        write.write_all(question).await?;
        write.shutdown().await
    };
    tokio::try_join!(send, read.read_to_end(&mut answer))?;
    Ok(answer)
}

async fn a_socket_is_reached(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a socket");
    shout(UnixListener::bind(&path)?);
    for privilege in [Privilege::User, Privilege::Root] {
        let forwarded = host.forward_unix(&path, privilege).await?;
        let long = vec![b'x'; 1 << 20];
        // More connections than sessions.
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..20 {
            let path = forwarded.path().to_owned();
            asking.spawn(async move { ask(&path, format!("hello {number}").as_bytes()).await });
        }
        while let Some(answer) = asking.join_next().await {
            assert!(answer??.starts_with(b"HELLO "));
        }
        assert!(ask(forwarded.path(), &long).await? == long.to_ascii_uppercase());
    }
    Ok(())
}

async fn what_is_no_socket(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    std::fs::write(&file, "")?;
    for path in [
        folder.path().join("nothing"),
        file,
        folder.path().to_owned(),
    ] {
        let error = host.forward_unix(&path, Privilege::User).await.unwrap_err();
        assert!(matches!(error, ForwardError::NoSocket { .. }), "{error:?}");
    }
    for path in ["relative", "/with:colon"] {
        let error = host
            .forward_unix(path.as_ref(), Privilege::User)
            .await
            .unwrap_err();
        assert!(matches!(error, ForwardError::Path { .. }), "{error:?}");
    }
    Ok(())
}

fn a_refused_forward() -> Outcome {
    block_on(async {
        let sshd = Sshd::with("AllowStreamLocalForwarding no");
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        shout(UnixListener::bind(&path)?);
        let host = sshd.connect().await;
        // sshd says so only when somebody connects.
        if let Ok(forwarded) = host.forward_unix(&path, Privilege::User).await {
            let answer =
                tokio::time::timeout(Duration::from_secs(10), ask(forwarded.path(), b"x")).await?;
            assert!(!matches!(answer, Ok(text) if !text.is_empty()));
        }
        assert!(host.run(Command::new("true")).await?.success());
        Ok(())
    })
}

fn a_forwarded_socket_goes_with_its_value() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        shout(UnixListener::bind(&path)?);
        let host = sshd.connect().await;
        let forwarded = host.forward_unix(&path, Privilege::User).await?;
        let here = forwarded.path().to_owned();
        assert!(here.starts_with(sshd.folder.path()));
        drop(forwarded);
        assert!(!here.exists() && path.exists());
        Ok(())
    })
}

fn a_way_that_is_gone_says_so() -> Outcome {
    block_on(async {
        let sshd = Sshd::start();
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let host = sshd.connect().await;
        let forwarded = host.forward_unix(&path, Privilege::User).await?;
        // A daemon that is away for a moment is not it: ssh still takes the connection.
        drop(listener);
        assert!(
            ask(forwarded.path(), b"x")
                .await
                .map_or(true, |answer| answer.is_empty())
        );
        // The server's side of the connection.
        let end = Command::script("kill -9 $PPID; sleep 15", [""; 0]);
        host.run(end).await.unwrap_err();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            match UnixStream::connect(forwarded.path()).await {
                Err(error) if forwarded.is_gone(&error) => return Ok(()),
                answer => assert!(std::time::Instant::now() < deadline, "{answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}
