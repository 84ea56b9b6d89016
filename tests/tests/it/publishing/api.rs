//! The original hub's API for those who publish.

use bcm_tests::wire::{get, send};

use super::{archive, ask, granted, hub, refused, standalone, text, token, tree, upload};

fn names(http: std::net::SocketAddr, repository: &str) -> Vec<String> {
    let listed = get(http, &format!("/api/flist/{repository}"));
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).expect("JSON");
    let listed = listed.as_array().expect("a list");
    let name = |entry: &serde_json::Value| entry["name"].as_str().expect("a name").to_owned();
    listed.iter().map(name).collect()
}

#[test]
fn everything_that_the_original_hub_takes_is_taken() {
    let mirror = standalone();
    let served = mirror.serve();
    let http = served.http;
    let (me, other) = (token(&mirror, &["alice"]), token(&mirror, &["bob"]));
    let mine = |method: &str, path: &str| ask(http, &me, method, path);
    let myself = granted(&mine("GET", ""));
    assert_eq!(myself["username"], "alice");

    let content = archive("bin/app", tar::EntryType::Regular, "", b"content");
    let payload = granted(&upload(http, &me, "upload", "app.tar.gz", &content));
    assert_eq!(payload["name"], "app.flist");
    assert_eq!(payload["files"]["regular"], 1);
    let contents = mine("GET", "/app");
    let public = get(http, "/api/flist/alice/app.flist");
    assert!(contents.body == public.body && contents.status == 200);
    assert_eq!(
        mine("INFO", "/app").body,
        get(http, "/api/flist/alice/app/light").body
    );

    // Another's, as it is, for its blocks are here.
    let flist = get(http, "/alice/app.flist").body;
    granted(&upload(http, &other, "upload-flist", "copy.flist", &flist));
    assert!(get(http, "/bob/copy.flist").body == flist);
    // An upload replaces.
    let content = archive("bin/app", tar::EntryType::Regular, "", b"newer content");
    granted(&upload(http, &me, "upload", "app.tgz", &content));
    assert!(get(http, "/alice/app.flist").body != flist);

    granted(&mine("GET", "/app/link/latest"));
    granted(&mine("POST", "/bobs/crosslink/bob/copy"));
    assert!(get(http, "/alice/bobs.flist").body == flist);
    let promoted = granted(&mine("GET", "/promote/bob/copy/mine"));
    assert_eq!(promoted["source"]["username"], "bob", "{promoted}");
    assert_eq!(
        promoted["destination"]["filename"], "mine.flist",
        "{promoted}"
    );
    granted(&mine("GET", "/mine/rename/own"));
    assert!(get(http, "/alice/own.flist").body == flist);
    granted(&mine("GET", "/v1/app/tag/alice/app"));
    granted(&mine("POST", "/v1/other.flist/tag/bob/copy"));
    granted(&mine("GET", "/stable/crosstag/alice/v1"));
    assert!(get(http, "/alice/tags/v1/other.flist").body == flist);
    let headers = format!("Authorization: bearer {me}\r\n");
    let sources = br#"["alice/app", "bob/copy.flist"]"#;
    let merged = send(http, "POST", "/api/flist/me/merge/both", &headers, sources);
    assert_eq!(granted(&merged)["files"]["regular"], 1);
    assert_eq!(
        names(http, "alice"),
        [
            "v1",
            "app.flist",
            "bobs.flist",
            "both.flist",
            "latest.flist",
            "own.flist",
            "stable"
        ]
    );
    let taken = mine("GET", "/own/link/app");
    assert!(refused(&taken, 409).contains("not replaced by a link"));
    let needed = mine("DELETE", "/app");
    assert!(refused(&needed, 409).contains("links lead to it"));
    granted(&mine("DELETE", "/v1/app/tag/alice/app"));
    granted(&mine("DELETE", "/latest"));
    granted(&mine("DELETE", "/app.flist"));
    assert_eq!(get(http, "/alice/app.flist").status, 404);
    granted(&mine("DELETE", "/v1/other/tag/bob/copy?dangling=true"));
    assert_eq!(get(http, "/api/flist/alice/tags/v1").status, 404);
    refused(&mine("GET", "/gone/link/x"), 404);
    refused(&mine("GET", "/a/b/c/d/e/f"), 404);
    refused(&mine("PUT", "/app"), 405);
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

#[test]
fn tokens_are_good_for_their_repositories_and_their_time() {
    let mirror = standalone();
    let served = mirror.serve();
    let both = token(&mirror, &["alice", "bob"]);
    let whoami = |token: &str, query: &str| ask(served.http, token, "GET", query);
    assert!(refused(&whoami(&both, ""), 400).contains("?repository="));
    assert_eq!(
        granted(&whoami(&both, "?repository=bob"))["username"],
        "bob"
    );
    refused(&whoami(&both, "?repository=eve"), 403);
    refused(&whoami(&both, "?repository=..%2Falice"), 403);
    let headers = format!("Authorization: Bearer {both}\r\nX-Repository: alice\r\n");
    let by_header = send(served.http, "GET", "/api/flist/me", &headers, b"");
    assert_eq!(granted(&by_header)["username"], "alice");
    let content = archive("a", tar::EntryType::Regular, "", b"x");
    granted(&upload(
        served.http,
        &both,
        "upload?repository=bob",
        "a.tar.gz",
        &content,
    ));
    assert_eq!(names(served.http, "bob"), ["a.flist"]);

    // Whatever is wrong with it, the words are the same.
    let expired = [
        "token",
        "create",
        "--repository",
        "alice",
        "--expires",
        "0s",
    ];
    let expired = hub(&mirror, &expired).assert_code(0).json()["token"].clone();
    let expired = expired.as_str().expect("a token").to_owned();
    let revoked = token(&mirror, &["alice"]);
    let id = revoked.split('_').nth(1).expect("its name").to_owned();
    granted(&whoami(&revoked, ""));
    hub(&mirror, &["token", "revoke", &id]).assert_code(0);
    hub(&mirror, &["token", "revoke", &id]).assert_code(1);
    let mut words = vec![refused(
        &send(served.http, "GET", "/api/flist/me/x", "", b""),
        401,
    )];
    for bad in ["", "x", "bcm_", &both[..both.len() - 1], &expired, &revoked] {
        words.push(refused(&whoami(bad, ""), 401));
        words.push(refused(
            &upload(served.http, bad, "upload", "a.tar.gz", &content),
            401,
        ));
        words.push(refused(
            &ask(served.http, bad, "DELETE", "/a?repository=bob"),
            401,
        ));
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(names(served.http, "bob"), ["a.flist"]);

    let list = hub(&mirror, &["token", "list"]).assert_code(0);
    let said = served.process.interrupt();
    for token in [&both, &expired, &revoked] {
        let secret = token.rsplit('_').next().expect("a secret");
        let everything = format!("{list}{said}");
        assert!(
            !everything.contains(secret),
            "a secret is shown: {everything}"
        );
    }
    assert_eq!(list.json()["tokens"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_archive_is_published_by_hand_as_it_is_over_the_network() {
    let mirror = standalone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.tar.gz");
    let content = archive("bin/app", tar::EntryType::Regular, "", b"content");
    std::fs::write(&path, &content).expect("a file");
    hub(&mirror, &["publish", text(&path), "alice/by-hand"]).assert_code(0);
    let served = mirror.serve();
    let me = token(&mirror, &["alice"]);
    granted(&upload(
        served.http,
        &me,
        "upload",
        "by-net.tar.gz",
        &content,
    ));
    let one = get(served.http, "/alice/by-hand.flist.md5").body;
    assert_eq!(one, get(served.http, "/alice/by-net.flist.md5").body);
    let published = mirror.data().join("hub/users/alice/by-hand.flist");
    let listed = bcm_tests::bcm::run(["flist", "ls", text(&published)]).assert_code(0);
    assert!(listed.stdout.contains("-rw-r----- 42"), "{listed}");
    tree(&folder.path().join("tree"), "x");
}
