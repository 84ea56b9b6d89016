//! Limits of what is taken over the network: time, number, and others who write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_core::lock::FolderLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Answer, parse};
use super::origin::Served;
use crate::mode;
use crate::serve::{OpenStore, PublishOptions};
use crate::store::memory::MemoryStore;
use crate::tokens;

/// An empty hub that stands alone, and a token for the repository `me.test`.
async fn hub(change: impl FnOnce(&mut PublishOptions)) -> (Served, String) {
    let store = Arc::new(MemoryStore::default());
    let mut publishing = PublishOptions::new(OpenStore(Arc::new(move || Ok(store.clone()))));
    change(&mut publishing);
    let served = Served::start(
        |layout| assert!(mode::standalone(layout, false).unwrap()),
        |options| options.publishing = Some(publishing),
    )
    .await;
    let repositories = ["me.test".parse().unwrap()];
    let (_, token) = tokens::create(&served.layout, &repositories, "", None).unwrap();
    (served, token.reveal().to_owned())
}

fn head(token: &str, path: &str, more: &str) -> String {
    format!(
        "POST /api/flist/me/{path} HTTP/1.1\r\nHost: hub.test\r\nAuthorization: bearer {token}\r\n{more}\r\n"
    )
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";
const FILE: &str =
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.tar\"\r\n\r\n";

/// Sends a request and reads until the server closes, which may be before it has read all.
async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// A whole upload of `content`.
async fn upload(served: &Served, token: &str, body: &str) -> Answer {
    let more = format!(
        "{FORM}Connection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    let request = head(token, "upload", &more) + body;
    parse(&exchange(served.address, request.as_bytes()).await).0
}

/// Begins an upload that does not end.
async fn begun(served: &Served, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let more = format!("{FORM}Content-Length: 100000\r\n");
    let request = head(token, "upload", &more) + FILE;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes).0
}

fn empty_archive() -> String {
    format!("{FILE}{}\r\n--b--\r\n", "\0".repeat(1024))
}

#[tokio::test]
async fn an_upload_that_is_silent_or_does_not_end_is_cut() {
    let (served, token) = hub(|options| options.upload_silence = Duration::from_millis(100)).await;
    let mut silent = begun(&served, &token).await;
    let answered = answer(&mut silent).await;
    assert_eq!(answered.status, 408);
    assert!(
        answered.text().contains("said nothing in 0.1 s"),
        "{}",
        answered.text()
    );

    let (served, token) = hub(|options| options.upload_timeout = Duration::from_millis(300)).await;
    let stream = begun(&served, &token).await;
    let (mut read, mut write) = stream.into_split();
    // A byte now and then keeps no upload alive for ever.
    let drip = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = read.read_to_end(&mut bytes).await;
    drip.abort();
    let answered = parse(&bytes).0;
    assert_eq!(answered.status, 408);
    assert!(
        answered.text().contains("did not end in 0.3 s"),
        "{}",
        answered.text()
    );
    assert_eq!(served.get("/api/flist").await.text(), "[]\n");
}

/// Whether there is the file of an upload.
fn is_uploading(served: &Served) -> bool {
    let folders = std::fs::read_dir(served.layout.hub()).unwrap().flatten();
    let mut files = folders
        .filter(|folder| {
            folder
                .file_name()
                .to_string_lossy()
                .starts_with(".scratch-")
        })
        .filter_map(|folder| std::fs::read_dir(folder.path()).ok())
        .flat_map(Iterator::flatten);
    files.any(|file| file.file_name().to_string_lossy().starts_with("upload-"))
}

#[tokio::test]
async fn only_so_many_uploads_are_taken_at_once() {
    let (served, token) = hub(|options| options.uploads = 1).await;
    let first = begun(&served, &token).await;
    // It has its place once its file is there.
    let has_begun = async {
        while !is_uploading(&served) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), has_begun)
        .await
        .unwrap();
    let second = upload(&served, &token, &empty_archive()).await;
    assert_eq!(second.status, 503);
    assert!(
        second.text().contains("too many uploads"),
        "{}",
        second.text()
    );
    assert_eq!(second.header("retry-after"), "5");
    drop(first);
    let free = async {
        while upload(&served, &token, &empty_archive()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), free)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_writer_is_waited_for_a_while() {
    let (served, token) = hub(|options| options.patience = Duration::from_millis(300)).await;
    assert_eq!(upload(&served, &token, &empty_archive()).await.status, 200);
    let lock = FolderLock::acquire(&served.layout.lock()).unwrap();
    let begin = Instant::now();
    let refused = upload(&served, &token, &empty_archive()).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("somebody else writes"),
        "{}",
        refused.text()
    );
    drop(lock);
    assert_eq!(upload(&served, &token, &empty_archive()).await.status, 200);

    let (served, token) = hub(|options| options.patience = Duration::from_secs(3600)).await;
    let lock = FolderLock::acquire(&served.layout.lock()).unwrap();
    let ends = async {
        while !is_uploading(&served) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(lock);
    };
    let archive = empty_archive();
    let (waited, ()) = tokio::join!(upload(&served, &token, &archive), ends);
    assert_eq!(waited.status, 200);
}

#[tokio::test]
async fn what_is_no_form_is_refused_and_never_kept_in_memory() {
    let (served, token) = hub(|options| options.upload_bytes = 8 << 20).await;
    let endless = "x".repeat(4 << 20);
    let long_head = format!("--b\r\nContent-Disposition: form-data; name=\"{endless}\"\r\n\r\n");
    let long_field =
        format!("--b\r\nContent-Disposition: form-data; name=\"metadata-x\"\r\n\r\n{endless}");
    for body in [
        "",
        "no form",
        "--b--\r\n",
        &endless,
        &long_head,
        &long_field,
        FILE,
        "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n",
        "--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n",
    ] {
        let answered = upload(&served, &token, body).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!(answered.status, 400, "{shown:?}: {}", answered.text());
    }
    let length = "Connection: close\r\nContent-Length: 0\r\n";
    let no_form = head(&token, "upload", length);
    let answered = parse(&exchange(served.address, no_form.as_bytes()).await).0;
    assert_eq!(answered.status, 400);
    let huge = format!("{FORM}Connection: close\r\nContent-Length: 99999999999\r\n");
    let huge = head(&token, "upload", &huge);
    let answered = parse(&exchange(served.address, huge.as_bytes()).await).0;
    assert_eq!(answered.status, 413);
    let merge = head(
        &token,
        "merge/x",
        "Connection: close\r\nContent-Length: 2\r\n",
    ) + "{}";
    let answered = parse(&exchange(served.address, merge.as_bytes()).await).0;
    assert_eq!(answered.status, 400);
    assert_eq!(served.get("/api/flist").await.text(), "[]\n");
}
