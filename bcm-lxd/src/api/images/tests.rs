//! What is sent to an engine about images.

use std::error::Error;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::client::ClientOptions;
use crate::flavour::Flavour;
use crate::transport::{Connecting, Connection, Transport};

/// Keeps what it is sent, and answers with the next of what it was given.
#[derive(Clone)]
struct Scripted {
    answers: Arc<Mutex<Vec<&'static str>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn new(answers: &[&'static str]) -> (Self, Client) {
        let scripted = Self {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            heard: Arc::default(),
        };
        let client = Client::of_flavour(Flavour::Lxd, scripted.clone(), ClientOptions::default());
        (scripted, client.in_project("bcm"))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Transport for Scripted {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let (heard, answers) = (Arc::clone(&self.heard), Arc::clone(&self.answers));
            tokio::spawn(async move {
                let request = whole(&mut far).await;
                heard.lock().unwrap().push(request);
                let body = answers.lock().unwrap().remove(0);
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
        "scripted"
    }
}

/// A request, with all that its head says.
async fn whole(far: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        match far.read(&mut piece).await {
            Ok(0) | Err(_) => return text,
            Ok(got) => bytes.extend_from_slice(&piece[..got]),
        }
    }
}

const BEGUN: &str =
    r#"{"type":"async","metadata":{"id":"x","status":"Running","status_code":103}}"#;
const DONE: &str =
    r#"{"type":"sync","metadata":{"id":"x","status_code":200,"metadata":{"fingerprint":"f00d"}}}"#;
const FAILED: &str = r#"{"type":"sync","metadata":{"id":"x","status_code":400,"err":"Get \"https://images.example\": dial tcp: no such host"}}"#;
const STILL: &str = r#"{"type":"sync","metadata":{"id":"x","status":"Running","status_code":103}}"#;

fn debian() -> RemoteImage {
    RemoteImage {
        server: "https://images.example".to_owned(),
        alias: "debian/12".to_owned(),
    }
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[tokio::test]
async fn an_image_is_asked_for_by_server_and_alias() {
    let (engine, client) = Scripted::new(&[BEGUN, DONE]);
    let fingerprint = client
        .pull_image(&debian(), Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(fingerprint, "f00d");
    let asked = &engine.heard()[0];
    assert!(
        asked.starts_with("POST /1.0/images?project=bcm HTTP/1.1\r\n"),
        "{asked}"
    );
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        json!({"source": {
            "type": "image", "mode": "pull", "protocol": "simplestreams",
            "server": "https://images.example", "alias": "debian/12",
        }})
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_with_the_engines_words() {
    let (_, client) = Scripted::new(&[BEGUN, FAILED]);
    let error = client
        .pull_image(&debian(), Duration::from_secs(60))
        .await
        .unwrap_err();
    let said = chain(&error);
    assert!(
        said.contains("debian/12 of https://images.example"),
        "{said}"
    );
    assert!(said.contains("no such host"), "{said}");
}

#[tokio::test]
async fn an_engine_that_takes_too_long_is_told_to_give_up() {
    let (engine, client) = Scripted::new(&[BEGUN, STILL, r#"{"type":"sync","metadata":{}}"#]);
    let error = client
        .pull_image(&debian(), Duration::from_nanos(1))
        .await
        .unwrap_err();
    assert!(chain(&error).contains("Running"), "{}", chain(&error));
    let last = engine.heard().pop().unwrap();
    assert!(last.starts_with("DELETE /1.0/operations/x"), "{last}");
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    // More than a piece, and not a multiple of one.
    let content = "0123456789".repeat(40_000);
    std::fs::write(&path, &content).unwrap();
    let (engine, client) = Scripted::new(&[BEGUN]);
    client.import_image_file(&path).await.unwrap();
    let asked = &engine.heard()[0];
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 400000"), "{head}");
    assert!(head.contains("x-lxd-filename: image.tar"), "{head}");
    assert!(body == content, "{} bytes", body.len());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let (_, client) = Scripted::new(&[]);
    for path in ["/nonexistent/image.tar", "/"] {
        let error = client.import_image_file(Path::new(path)).await.unwrap_err();
        assert!(matches!(error, LxdError::File { .. }), "{error:?}");
        assert!(error.to_string().contains(path), "{error}");
    }
}
