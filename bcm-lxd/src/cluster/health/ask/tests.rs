use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcm_ssh::{
    BoxFuture, Command, ForwardError, ForwardedSocket, Output, Privilege, Remote, RunError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Barrier;

use super::*;
use crate::cluster::health;

/// A machine whose engine listens on a socket of this machine.
#[derive(Debug)]
struct Here {
    host: String,
    socket: PathBuf,
}

impl Remote for Here {
    fn host(&self) -> &str {
        &self.host
    }

    fn run(&self, _: Command) -> BoxFuture<'_, Result<Output, RunError>> {
        let stdout = format!("{}\nuser\n", self.socket.display()).into_bytes();
        Box::pin(async {
            Ok(Output {
                status: 0,
                stdout,
                stderr: Vec::new(),
            })
        })
    }

    fn forward_unix<'a>(
        &'a self,
        socket: &'a Path,
        _: Privilege,
    ) -> BoxFuture<'a, Result<ForwardedSocket, ForwardError>> {
        Box::pin(async move { Ok(ForwardedSocket::borrowed(socket)) })
    }
}

/// What an engine of the three answers.
fn answer(name: &str, path: &str) -> &'static str {
    match path {
        "/1.0" => r#"{"environment":{"server":"lxd","server_version":"5.0.2"}}"#,
        "/1.0/cluster" => match name {
            "a" => r#"{"enabled":true,"server_name":"a"}"#,
            "b" => r#"{"enabled":true,"server_name":"b"}"#,
            _ => r#"{"enabled":true,"server_name":"c"}"#,
        },
        "/1.0/cluster/members" => {
            r#"[{"server_name":"a","status":"Online","roles":["database"]},
                {"server_name":"b","status":"Online","roles":["database"]},
                {"server_name":"c","status":"Online","roles":["database"]}]"#
        }
        "/internal/sql" => r#"{"Results":[{"rows":[["a",1.5],["b",9],["c",12.25]]}]}"#,
        _ => "[]",
    }
}

/// Answers one request, when as many as the barrier waits for have come.
async fn serve(mut stream: UnixStream, name: String, all_came: Arc<Barrier>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).await.unwrap();
        head.extend(&piece[..n]);
    }
    all_came.wait().await;
    let head = String::from_utf8(head).unwrap();
    let path = head.split([' ', '?']).nth(1).unwrap();
    let metadata = answer(&name, path);
    let body = format!(r#"{{"type":"sync","status_code":200,"metadata":{metadata}}}"#);
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(reply.as_bytes()).await.unwrap();
}

/// Seven questions to each of three members; no one answers before all are asked.
#[tokio::test]
async fn a_cluster_is_asked_in_one_round() {
    let folder = tempfile::tempdir().unwrap();
    let all_came = Arc::new(Barrier::new(3 * 7));
    let mut machines = Vec::new();
    for name in ["a", "b", "c"] {
        let socket = folder.path().join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let all_came = all_came.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, name.to_owned(), all_came.clone()));
            }
        });
        let host = name.to_owned();
        let machine = Machine::new(name, Arc::new(Here { host, socket }));
        machines.push((name.to_owned(), Ok(machine)));
    }
    let health = health(&machines, Flavour::Lxd, Duration::from_secs(60)).await;
    assert!(health.healthy, "{health:#?}");
    assert_eq!(health.survives_losses, Some(1));
    assert!(health.members.iter().all(|m| m.version.is_some()));
    let ages: Vec<_> = health.members.iter().map(|m| m.heartbeat_age).collect();
    assert_eq!(ages, [Some(1), Some(9), Some(12)]);
}
