//! Against a server that says exactly what a test tells it to.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Answers each connection in turn with the next of `answers`, then closes it.
fn serve(answers: Vec<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn client() -> HttpClient {
    HttpClient::new(HttpOptions::default()).unwrap()
}

async fn get(address: SocketAddr, max: u64) -> Result<Bytes, HttpError> {
    let url = format!("http://{address}/x").parse().unwrap();
    client().get_bytes(&url, max).await
}

#[tokio::test]
async fn reads_a_body() {
    let address = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]);
    assert_eq!(get(address, 5).await.unwrap(), "hello");
}

#[tokio::test]
async fn refuses_too_much_announced_or_not() {
    let announced = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]);
    let open_ended = serve(vec!["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"]);
    for address in [announced, open_ended] {
        let error = get(address, 4).await.unwrap_err();
        assert!(matches!(error.kind, HttpErrorKind::TooLarge(4)), "{error}");
    }
}

#[tokio::test]
async fn a_short_body_is_not_a_body() {
    let address = serve(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"]);
    let error = get(address, 100).await.unwrap_err();
    assert!(
        matches!(
            error.kind,
            HttpErrorKind::Short {
                got: 5,
                expected: 9
            }
        ),
        "{error}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_status_is_named() {
    let address = serve(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]);
    let error = get(address, 100).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn redirects_stay_at_home() {
    for (location, follows) in [
        ("/y", true),
        ("file:///etc/passwd", false),
        ("http://other.example.test/", false),
        ("ftp://127.0.0.1/", false),
    ] {
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let address = serve(vec![
            Box::leak(answer.into_boxed_str()),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ]);
        match get(address, 100).await {
            Ok(body) => assert!(follows && body == "ok", "{location}"),
            Err(error) => assert!(
                !follows && matches!(error.kind, HttpErrorKind::Redirect { .. }),
                "{location}: {error}"
            ),
        }
    }
}

#[tokio::test]
async fn redirects_end() {
    let again =
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let error = get(serve(vec![again; 6]), 100).await.unwrap_err();
    assert!(
        matches!(error.kind, HttpErrorKind::TooManyRedirects(5)),
        "{error}"
    );
}

#[tokio::test]
async fn silence_has_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let client = HttpClient::new(HttpOptions {
        connect: Duration::from_millis(200),
        first_byte: Duration::from_millis(200),
        ..HttpOptions::default()
    })
    .unwrap();
    let error = client.get_bytes(&url, 10).await.unwrap_err();
    assert!(
        matches!(error.kind, HttpErrorKind::Silent { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_dripping_server_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 2048];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let client = HttpClient::new(HttpOptions {
        idle: Duration::from_millis(500),
        ..HttpOptions::default()
    })
    .unwrap();
    let error = client.get_bytes(&url, 10_000).await.unwrap_err();
    assert!(
        matches!(error.kind, HttpErrorKind::TooSlow { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_says_so() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = get(address, 10).await.unwrap_err();
    assert!(matches!(error.kind, HttpErrorKind::Connect), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
}
