//! Ranges, conditions, and files that change while they are asked for.

use std::fs;
use std::io::Write;

use bcm_core::digest::Md5;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client;
use super::origin::{Served, recorded};

const PATH: &str = "/tf-bootable/ubuntu-tiny.flist";

fn content() -> Vec<u8> {
    fs::read(recorded("http/036.body")).unwrap()
}

#[tokio::test]
async fn the_entity_tag_is_the_checksum_under_every_name() {
    let served = Served::recorded().await;
    let etag = format!("\"{}\"", Md5::of(&content()));
    for path in [
        PATH,
        "/alice.3bot/base.flist",
        "/tf-zos/tags/v3.15.0-rc1/extra.flist",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.header("etag"), etag, "{path}");
        assert_eq!(
            answer.header("last-modified"),
            "Wed, 01 Jan 2025 00:00:00 GMT"
        );
    }
}

#[tokio::test]
async fn ranges_are_answered_in_part() {
    let served = Served::recorded().await;
    let content = content();
    for (range, status, content_range, body) in [
        ("bytes=0-9", 206, "bytes 0-9/3448", &content[..10]),
        ("bytes=3440-", 206, "bytes 3440-3447/3448", &content[3440..]),
        ("bytes=-8", 206, "bytes 3440-3447/3448", &content[3440..]),
        (
            "bytes=10-19,20-29",
            206,
            "bytes 10-29/3448",
            &content[10..30],
        ),
        ("bytes=0-1,100-101", 200, "", &content[..]),
        ("bytes=3448-", 416, "bytes */3448", &[]),
        ("pages=1-2", 200, "", &content[..]),
    ] {
        let answer = served.ask("GET", PATH, &[("Range", range)]).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert_eq!(
            answer.header("content-length"),
            body.len().to_string(),
            "{range}"
        );
        assert!(answer.body == body, "{range}");
        let head = served.ask("HEAD", PATH, &[("Range", range)]).await;
        assert_eq!(head.status, status, "HEAD {range}");
    }
}

#[tokio::test]
async fn a_download_that_was_cut_off_is_resumed_only_for_the_same_content() {
    let served = Served::recorded().await;
    let etag = served.get(PATH).await.header("etag").to_owned();
    let resume = |etag: String| {
        let served = &served;
        async move {
            let headers = [("Range", "bytes=3000-"), ("If-Range", etag.as_str())];
            served.ask("GET", PATH, &headers).await
        }
    };
    let part = resume(etag.clone()).await;
    assert_eq!((part.status, part.body.len()), (206, 448));

    let path = served.file("tf-bootable/ubuntu-tiny.flist");
    let staged = served.file("../new");
    fs::write(&staged, vec![7; 5000]).unwrap();
    fs::rename(&staged, &path).unwrap();
    let whole = resume(etag).await;
    assert_eq!((whole.status, whole.body), (200, vec![7; 5000]));
}

#[tokio::test]
async fn conditions_save_the_body() {
    let served = Served::recorded().await;
    let etag = served.get(PATH).await.header("etag").to_owned();
    for (name, value, status) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", "Wed, 01 Jan 2025 00:00:00 GMT", 304),
        ("If-Modified-Since", "Thu, 02 Jan 2025 00:00:00 GMT", 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Tue, 31 Dec 2024 00:00:00 GMT", 412),
    ] {
        let answer = served.ask("GET", PATH, &[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status != 200, "{name}: {value}");
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn a_large_file_comes_in_pieces_and_whole() {
    let content: Vec<u8> = (0..3_000_001_u32).map(|i| (i % 251) as u8).collect();
    let served = Served::recorded().await;
    fs::write(served.file("empty.3bot/large.flist"), &content).unwrap();
    let answer = served.get("/empty.3bot/large.flist").await;
    assert!(answer.body == content);
    let headers = [("Range", "bytes=131071-2999999")];
    let answer = served.ask("GET", "/empty.3bot/large.flist", &headers).await;
    assert!(answer.body == content[131_071..=2_999_999]);
    fs::write(served.file("empty.3bot/none.flist"), "").unwrap();
    let answer = served.get("/empty.3bot/none.flist").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// Starts a download of 30 MB and stops reading after its head.
async fn half_a_download(served: &Served) -> (TcpStream, usize, Vec<u8>) {
    let path = served.file("empty.3bot/huge.flist");
    fs::write(&path, vec![1; 30_000_000]).unwrap();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = "GET /empty.3bot/huge.flist HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = vec![0; 4096];
    stream.read_exact(&mut start).await.unwrap();
    let (answer, _) = client::parse(&start);
    assert_eq!(answer.header("content-length"), "30000000");
    (stream, 30_000_000 - answer.body.len(), start)
}

#[tokio::test]
async fn a_file_that_is_replaced_is_sent_to_its_end() {
    let served = Served::recorded().await;
    let (mut stream, left, _) = half_a_download(&served).await;
    let staged = served.file("../new");
    fs::write(&staged, "new").unwrap();
    fs::rename(&staged, served.file("empty.3bot/huge.flist")).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), left);
    assert!(rest.iter().all(|byte| *byte == 1));
    assert_eq!(served.get("/empty.3bot/huge.flist").await.body, b"new");
}

#[tokio::test]
async fn a_file_that_is_written_to_breaks_the_download_off() {
    let served = Served::recorded().await;
    let (mut stream, left, _) = half_a_download(&served).await;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(served.file("empty.3bot/huge.flist"))
        .unwrap();
    file.write_all(b"more").unwrap();
    drop(file);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < left, "a mixture was sent as if it were whole");
    let answer = served.ask("HEAD", "/empty.3bot/huge.flist", &[]).await;
    assert_eq!(answer.header("content-length"), "30000004");
}
