//! Requests and trees that try to lead elsewhere.

use std::fs;
use std::os::unix::fs::symlink;

use super::client::{exchange, parse};
use super::origin::Served;

const SECRET: &str = "this is outside of the tree";

#[tokio::test]
async fn no_path_leads_out_of_the_tree() {
    let served = Served::recorded().await;
    for outside in ["secret.flist", "hub/secret.flist", "hub/users/secret.flist"] {
        fs::write(served.folder.path().join(outside), SECRET).unwrap();
    }
    for path in [
        "/../secret.flist",
        "/../../secret.flist",
        "/%2e%2e/secret.flist",
        "/tf-zos/../secret.flist",
        "/tf-zos/..%2fsecret.flist",
        "/tf-zos/%2e%2e%2f%2e%2e%2fsecret.flist",
        "/tf-zos/..%5csecret.flist",
        "/tf-zos/tags/../secret.flist",
        "/tf-zos/tags/%2e%2e/secret.flist",
        "/./secret.flist",
        "//secret.flist",
        "/secret.flist",
        "/tf-zos/tags/v3.14.1/../../secret.flist",
        "/tf-zos/.tag-v3.14.1/zos.flist",
        "/tf-zos%2f.tag-v3.14.1/zos.flist",
        "/tf-zos/x%00.flist",
        "/tf-zos/%00",
        "/tf-zos/..%00/secret.flist.md5",
        "/%ff%fe/x.flist",
        "/tf-zos/%zz.flist",
        "/api/flist/..",
        "/api/flist/../secret",
        "/api/flist/..%2f..",
        "/api/flist/tf-zos/..%2f..%2fsecret.flist/light",
        "/api/flist/tf-zos/tags/..",
        "/api/flist/tf-zos/tags/..%2f..",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = served.ask(method, path, &[]).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(!answer.text().contains(SECRET), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(answer.header("location"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn planted_links_are_not_followed() {
    let served = Served::recorded().await;
    let outside = served.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.flist"), SECRET).unwrap();
    symlink(
        outside.join("secret.flist"),
        served.file("tf-zos/evil.flist"),
    )
    .unwrap();
    symlink(
        "../../../outside/secret.flist",
        served.file("tf-zos/up.flist"),
    )
    .unwrap();
    symlink(&outside, served.file("evil")).unwrap();
    symlink(&outside, served.file("tf-zos/.tag-evil")).unwrap();
    symlink("loop.flist", served.file("tf-zos/loop.flist")).unwrap();
    for path in [
        "/tf-zos/evil.flist",
        "/tf-zos/evil.flist.md5",
        "/tf-zos/evil.flist.md",
        "/tf-zos/up.flist",
        "/evil/secret.flist",
        "/evil",
        "/tf-zos/tags/evil",
        "/tf-zos/tags/evil/secret.flist",
        "/api/flist/tf-zos/evil.flist",
        "/api/flist/evil",
        "/tf-zos/loop.flist",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains(SECRET), "{path}");
    }
    let listing = served.get("/api/fileslist").await;
    assert!(!listing.text().contains("evil"));
    // A link to itself is like any that leads nowhere.
    let light = served
        .get("/api/flist/tf-zos/loop.flist/light")
        .await
        .json();
    assert_eq!(light["md5"], serde_json::Value::Null);
    assert_eq!(served.get("/healthz").await.json()["odd"], 4);
}

#[tokio::test]
async fn a_link_planted_after_the_look_is_not_followed_either() {
    let served = Served::start(super::origin::unpack_recorded, |options| {
        options.refresh = std::time::Duration::from_secs(3600);
    })
    .await;
    let outside = served.folder.path().join("secret");
    fs::write(&outside, SECRET).unwrap();
    let path = served.file("tf-bootable/ubuntu-tiny.flist");
    fs::remove_file(&path).unwrap();
    symlink(&outside, &path).unwrap();
    let answer = served.get("/tf-bootable/ubuntu-tiny.flist").await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains(SECRET));
}

#[tokio::test]
async fn there_is_no_way_to_write() {
    let served = Served::recorded().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "LINK", "INFO"] {
        for path in ["/", "/tf-zos/x.flist", "/api/flist", "/api/fileslist"] {
            let answer = served.ask(method, path, &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.header("allow").starts_with("GET, HEAD"));
            assert_eq!(answer.header("access-control-allow-origin"), "*");
        }
    }
    for (method, path) in [
        ("GET", "/api/flist/me/x.flist"),
        ("DELETE", "/api/flist/me/x.flist"),
        ("POST", "/api/flist/me/upload"),
        ("GET", "/api/flist/me/a/rename/b"),
        ("GET", "/api/flist/me/promote/a/b/c"),
    ] {
        let answer = served.ask(method, path, &[]).await;
        assert_eq!(answer.status, 400, "{method} {path}");
        assert_eq!(answer.json()["message"], "readonly mode");
    }
}

#[tokio::test]
async fn names_with_unusual_characters_work_everywhere() {
    let served = Served::recorded().await;
    let name = "Ünï côde+plus:x %41.flist";
    fs::create_dir(served.file("My Repo+1")).unwrap();
    fs::copy(
        served.file("tf-bootable/ubuntu-tiny.flist"),
        served.file(&format!("My Repo+1/{name}")),
    )
    .unwrap();
    let encoded = "%C3%9Cn%C3%AF%20c%C3%B4de+plus:x%20%2541.flist";
    for (path, content_type) in [
        (
            format!("/My%20Repo+1/{encoded}"),
            "application/octet-stream",
        ),
        (format!("/My%20Repo%2B1/{encoded}.md5"), "text/plain"),
        (
            format!("/My%20Repo+1/{encoded}.md"),
            "text/html; charset=utf-8",
        ),
        (
            format!("/api/flist/My%20Repo+1/{encoded}/light"),
            "application/json",
        ),
        (
            format!("/api/flist/My%20Repo+1/{encoded}"),
            "application/json",
        ),
    ] {
        let answer = served.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
    }
    let page = served.get("/My%20Repo+1").await;
    assert!(
        page.text()
            .contains("/My%20Repo%2B1/%C3%9Cn%C3%AF%20c%C3%B4de%2Bplus:x%20%2541.flist.md")
    );
    let listing = served.get("/api/flist/My%20Repo+1").await;
    assert_eq!(listing.json()[0]["name"], name);
    assert!(
        listing
            .text()
            .contains("\\u00dcn\\u00ef c\\u00f4de+plus:x %41.flist")
    );
    // Some clients send what they should have encoded.
    let raw = "GET /My%20Repo+1/\u{dc}n\u{ef}%20c\u{f4}de+plus:x%20%2541.flist HTTP/1.1\r\n\
        Host: x\r\nConnection: close\r\n\r\n";
    let (answer, _) = parse(&exchange(served.address, raw.as_bytes()).await).clone();
    assert!([200, 400].contains(&answer.status), "{}", answer.status);
}

#[tokio::test]
async fn what_is_no_flist_is_served_but_not_looked_into() {
    let served = Served::recorded().await;
    fs::write(served.file("empty.3bot/page.flist"), "<html>404</html>").unwrap();
    let light = served.get("/api/flist/empty.3bot/page.flist/light").await;
    assert_eq!(light.status, 200);
    for path in [
        "/api/flist/empty.3bot/page.flist",
        "/api/flist/empty.3bot/page.flist/metadata",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 500, "{path}");
        assert_eq!(
            answer.json()["message"],
            "empty.3bot/page.flist cannot be read as an flist"
        );
    }
    let page = served.get("/empty.3bot/page.flist.md").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("cannot be shown"));
}
