//! A client and what a daemon may answer.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::transport::Connecting;

/// Answers every request with the same metadata.
struct Canned(&'static str);

impl Transport for Canned {
    fn connect(&self) -> Connecting<'_> {
        let body = format!(
            r#"{{"type":"sync","status_code":200,"metadata":{}}}"#,
            self.0
        );
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = far.read(&mut request).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = far.write_all(answer.as_bytes()).await;
            });
            Ok(Box::new(near) as Box<dyn Connection>)
        })
    }

    fn peer(&self) -> &str {
        "canned"
    }
}

fn client(metadata: &'static str) -> Client {
    Client {
        transport: Arc::new(Canned(metadata)),
        options: ClientOptions::default(),
        flavour: Flavour::Incus,
        version: String::new(),
        project: None,
    }
}

#[tokio::test]
async fn no_list_is_an_empty_one() {
    // What Incus 6.0 answers where LXD answers `[]`.
    let client = client("null");
    assert!(client.storage_pools().await.unwrap().is_empty());
    assert!(client.images().await.unwrap().is_empty());
    assert!(client.all_instances().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_is_not_something_else() {
    let error = client("{}").networks().await.unwrap_err();
    assert!(error.to_string().contains("GET /1.0/networks"), "{error}");
}

#[tokio::test]
async fn whoever_is_not_trusted_is_told_so() {
    let error = Client::connect(Canned(r#"{"auth":"untrusted"}"#))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("may not use it"), "{error}");
}

/// Answers `…/wait` with an error, as Incus does when the operation has not ended by then.
struct Impatient {
    /// What it answers, in order: that error, or the operation with a status code.
    answers: std::sync::Mutex<Vec<&'static str>>,
}

impl Transport for Impatient {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let next = self.answers.lock().unwrap().remove(0);
            let (status, body) = match next {
                "wait" => (
                    500,
                    r#"{"type":"error","error":"context deadline exceeded","error_code":500}"#
                        .to_owned(),
                ),
                code => (
                    200,
                    format!(
                        r#"{{"type":"sync","status_code":200,"metadata":{{"id":"x","status_code":{code}}}}}"#
                    ),
                ),
            };
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = far.read(&mut request).await;
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = far.write_all(answer.as_bytes()).await;
            });
            Ok(Box::new(near) as Box<dyn Connection>)
        })
    }

    fn peer(&self) -> &str {
        "impatient"
    }
}

#[tokio::test]
async fn an_operation_that_takes_longer_is_waited_for() {
    let answers = vec!["wait", "103", "wait", "103", "wait", "200"];
    let impatient = Impatient {
        answers: answers.into(),
    };
    let client = Client::of_flavour(Flavour::Incus, impatient, ClientOptions::default());
    let running = crate::types::Operation {
        id: "x".to_owned(),
        status_code: 103,
        ..crate::types::Operation::default()
    };
    let handle = OperationHandle::new(client, "POST /1.0/x".to_owned(), running);
    let ended = handle.wait(Duration::from_secs(600)).await.unwrap();
    assert_eq!(ended.status_code, 200);
}

/// A way to a daemon that is gone.
struct Gone;

impl Transport for Gone {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Err(std::io::ErrorKind::NotConnected.into()) })
    }

    fn peer(&self) -> &str {
        "gone"
    }
}

#[tokio::test]
async fn an_operation_is_not_waited_for_when_the_way_to_it_is_gone() {
    let client = Client::of_flavour(Flavour::Lxd, Gone, ClientOptions::default());
    let running = crate::types::Operation {
        id: "x".to_owned(),
        status_code: 103,
        ..crate::types::Operation::default()
    };
    let handle = OperationHandle::new(client, "PUT /1.0/cluster".to_owned(), running);
    // Not the error of a limit that is over.
    let error = handle.wait(Duration::from_secs(30)).await.unwrap_err();
    assert!(matches!(error, crate::WaitError::Failed(_)), "{error}");
}
