//! Hubs that stand alone: what operators publish in them, by hand and over the network.

mod api;
mod killed;
mod modes;
mod refusals;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use bcm_tests::bcm::{self, Finished};
use bcm_tests::mirror::Mirror;
use bcm_tests::wire::{Response, send};

/// Runs `bcm hub …` on the data folder of `mirror`.
fn hub(mirror: &Mirror, arguments: &[&str]) -> Finished {
    let all = ["hub", "--output", "json"].into_iter();
    let all = all.chain(arguments.iter().copied()).map(OsString::from);
    bcm::run(all.chain(["--data".into(), mirror.data().into()]))
}

/// An empty hub that stands alone.
fn standalone() -> Mirror {
    let mirror = Mirror::new();
    hub(&mirror, &["standalone"]).assert_code(0);
    mirror
}

/// A token for `repositories`.
fn token(mirror: &Mirror, repositories: &[&str]) -> String {
    let mut arguments = vec!["token", "create"];
    for name in repositories {
        arguments.extend(["--repository", name]);
    }
    let made = hub(mirror, &arguments).assert_code(0).json();
    made["token"].as_str().expect("a token").to_owned()
}

/// A folder with a few files, of which `content` is one.
fn tree(at: &Path, content: &str) {
    std::fs::create_dir_all(at.join("etc")).expect("a folder");
    std::fs::write(at.join("etc/motd"), content).expect("a file");
    std::fs::write(at.join("big"), content.repeat(200_000)).expect("a file");
    std::os::unix::fs::symlink("etc/motd", at.join("link")).expect("a link");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A request of the holder of `token`.
fn ask(http: SocketAddr, token: &str, method: &str, path: &str) -> Response {
    let headers = format!("Authorization: bearer {token}\r\n");
    send(http, method, &format!("/api/flist/me{path}"), &headers, b"")
}

/// Uploads `content` as the file `name`.
fn upload(http: SocketAddr, token: &str, path: &str, name: &str, content: &[u8]) -> Response {
    let headers = format!(
        "Authorization: bearer {token}\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n"
    );
    let mut body = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--XyZ--\r\n");
    send(
        http,
        "POST",
        &format!("/api/flist/me/{path}"),
        &headers,
        &body,
    )
}

/// The message of an error.
#[track_caller]
fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    let json: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(json["status"], "error", "{json}");
    json["message"].as_str().expect("a message").to_owned()
}

#[track_caller]
fn granted(response: &Response) -> serde_json::Value {
    assert_eq!(response.status, 200, "{}", response.text());
    let json: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(json["status"], "success", "{json}");
    json["payload"].clone()
}

/// An archive, gzip'd, of one member of this kind.
fn archive(path: &str, kind: tar::EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let raw = header.as_mut_bytes();
    raw[..path.len()].copy_from_slice(path.as_bytes());
    raw[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o640);
    header.set_uid(42);
    header.set_gid(43);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    builder.append(&header, content).expect("in memory");
    let gzip = builder.into_inner().expect("in memory");
    gzip.finish().expect("in memory")
}
