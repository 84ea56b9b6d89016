//! What an upstream hub was recorded to answer, asked of this server over the same tree.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::origin::{Served, recorded};

#[derive(Deserialize)]
struct Recorded {
    method: String,
    path: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn recordings() -> Vec<Recorded> {
    let index = fs::read(recorded("http/index.json")).unwrap();
    serde_json::from_slice(&index).unwrap()
}

#[tokio::test]
async fn every_recorded_answer_is_given_byte_by_byte() {
    let served = Served::recorded().await;
    let recordings = recordings();
    assert_eq!(recordings.len(), 57);
    for request in recordings {
        let answer = served.ask(&request.method, &request.path, &[]).await;
        let path = &request.path;
        assert_eq!(answer.status, request.status, "{path}");
        for (name, value) in &request.headers {
            // The recorded tags are made of the upstream's inode numbers.
            if name != "ETag" {
                assert_eq!(answer.header(&name.to_lowercase()), value, "{path}: {name}");
            }
        }
        let body = fs::read(recorded("http").join(&request.body)).unwrap();
        assert!(
            answer.body == body,
            "{path}:\n{}\ninstead of\n{}",
            String::from_utf8_lossy(&answer.body),
            String::from_utf8_lossy(&body)
        );
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let served = Served::recorded().await;
    for request in recordings() {
        let get = served.ask("GET", &request.path, &[]).await;
        let head = served.ask("HEAD", &request.path, &[]).await;
        let path = &request.path;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.body, b"", "{path}");
        let without_date = |mut headers: BTreeMap<String, String>| {
            headers.remove("date");
            headers
        };
        assert_eq!(
            without_date(head.headers),
            without_date(get.headers),
            "{path}"
        );
    }
}

#[tokio::test]
async fn info_is_light_and_names_may_lack_their_suffix() {
    let served = Served::recorded().await;
    let base = "/api/flist/alice.3bot/base.flist";
    let light = served.get(&format!("{base}/light")).await;
    assert_eq!(served.ask("INFO", base, &[]).await.body, light.body);
    let short = "/api/flist/alice.3bot/base";
    assert_eq!(
        served.get(&format!("{short}/light/")).await.body,
        light.body
    );
    assert_eq!(served.get(short).await.body, served.get(base).await.body);
    assert_eq!(
        served
            .ask("INFO", "/api/flist/alice.3bot/nope", &[])
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn tag_links_are_told_from_the_rest() {
    let served = Served::recorded().await;
    for (path, status, body) in [
        (
            "/api/flist/tf-zos/zos-production-v3.14.1.flist/taglink",
            401,
            "{\"status\": \"error\", \"message\": \"could not read tag link\"}\n",
        ),
        (
            "/api/flist/tf-zos/nope/taglink",
            404,
            "{\"status\": \"error\", \"message\": \"source not found\"}\n",
        ),
        (
            "/api/flist/nobody/nope/taglink",
            404,
            "{\"status\": \"error\", \"message\": \"user not found\"}\n",
        ),
        (
            "/api/flist/tf-zos/production/light",
            404,
            "{\"status\": \"error\", \"message\": \"source not found\"}\n",
        ),
    ] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{path}");
    }
}

#[tokio::test]
async fn listings_are_compressed_for_those_who_ask_and_flists_never() {
    use std::io::Read;
    let served = Served::recorded().await;
    let gzip = [("Accept-Encoding", "gzip")];
    for path in [
        "/api/fileslist",
        "/api/flist/alice.3bot/my-app-1.0.flist",
        "/",
    ] {
        let plain = served.get(path).await;
        let packed = served.ask("GET", path, &gzip).await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert!(packed.header("vary").contains("Accept-Encoding"), "{path}");
        assert_ne!(packed.header("etag"), plain.header("etag"), "{path}");
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..])
            .read_to_end(&mut body)
            .unwrap();
        assert!(body == plain.body, "{path}");
        let known = [
            ("Accept-Encoding", "gzip"),
            ("If-None-Match", packed.header("etag")),
        ];
        let again = served.ask("GET", path, &known).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let flist = served
        .ask("GET", "/alice.3bot/my-app-1.0.flist", &gzip)
        .await;
    assert_eq!(flist.header("content-encoding"), "");
}

#[tokio::test]
async fn health_says_how_much_there_is() {
    let served = Served::recorded().await;
    let answer = served.get("/healthz").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"status\": \"ok\", \"repositories\": 5, \"flists\": 4, \"links\": 5, \"tags\": 2, \
         \"bytes\": 12955, \"odd\": 0}\n"
    );
}
