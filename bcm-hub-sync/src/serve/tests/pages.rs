//! Pages for people.

use std::fs;

use super::origin::Served;

const BROWSER: [(&str, &str); 1] = [("Accept", "text/html,application/xhtml+xml")];

/// Each of these has to be a whole page.
const PAGES: [&str; 8] = [
    "/",
    "/tf-zos",
    "/tf-zos/tags/v3.14.1",
    "/alice.3bot/my-app-1.0.flist.md",
    "/alice.3bot/dangling.flist.md",
    "/search",
    "/search?q=zos",
    "/empty.3bot",
];

#[tokio::test]
async fn every_page_is_whole_and_harmless() {
    let served = Served::recorded().await;
    for path in PAGES {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let text = answer.text();
        assert!(
            text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"),
            "{path}"
        );
        assert_eq!(text.matches("<h1>").count(), 1, "{path}");
        assert!(
            !text.contains("<script") && !text.contains(" style=\""),
            "{path}"
        );
        assert!(text.contains("name=\"viewport\""), "{path}");
    }
}

/// Follows every link from the first page, as a crawler would.
#[tokio::test]
async fn no_link_is_broken() {
    let served = Served::recorded().await;
    let mut waiting = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = served.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        for link in answer.text().split(" href=\"").skip(1) {
            let link = link.split('"').next().unwrap().replace("&amp;", "&");
            let page = link.split('#').next().unwrap();
            if page.starts_with('/') {
                waiting.push(page.to_owned());
            } else {
                assert!(
                    link.starts_with('#') || link.starts_with("data:"),
                    "{path}: {link}"
                );
            }
        }
    }
    // The one link that dangles leads to a page that is not there; its own page says so in words.
    for path in [
        "/tf-zos/tags/v3.15.0-rc1",
        "/tf-zos/tags/v3.14.1/bootstrap.flist",
        "/alice.3bot/my-app-1.0.flist",
        "/alice.3bot/my-app-1.0.flist.md",
    ] {
        assert!(
            seen.contains(path),
            "{path} is not linked from anywhere: {seen:?}"
        );
    }
}

#[tokio::test]
async fn an_flist_is_shown_with_all_that_is_known() {
    let served = Served::recorded().await;
    let page = served.get("/alice.3bot/base.flist.md").await;
    for part in [
        "742a8aa3a675bcce11efb6573f42dd81",
        "href=\"/alice.3bot/base.flist\"",
        "href=\"/tf-bootable/ubuntu-tiny.flist.md\"",
        "http://mirror.test/alice.3bot/base.flist",
        "/usr/share/Ünïcode/naïve – 文件.txt",
        "hub.example.test",
        "12 files, 16 directories, 3 links, 3 special files",
        "<title>alice.3bot/base.flist · Flist hub mirror</title>",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
}

#[tokio::test]
async fn long_contents_are_cut_into_pages() {
    let served = Served::recorded().await;
    let last = served.get("/alice.3bot/my-app-1.0.flist.md?page=999").await;
    assert_eq!(last.status, 200);
    assert!(last.text().contains("/many/f"));
    for query in [
        "?page=0",
        "?page=-1",
        "?page=x",
        "?page=99999999999999999999",
        "?%zz",
    ] {
        let answer = served
            .get(&format!("/alice.3bot/my-app-1.0.flist.md{query}"))
            .await;
        assert_eq!(answer.status, 200, "{query}");
    }
}

#[tokio::test]
async fn search_finds_all_words_and_escapes_them() {
    let served = Served::recorded().await;
    let page = served.get("/search?q=ZOS+prod").await;
    assert!(page.text().contains("zos-production-v3.14.1.flist"));
    assert!(
        page.text().contains("2 results"),
        "the flist and the channel"
    );
    let page = served
        .get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E")
        .await;
    assert!(!page.text().contains("<script"));
    assert!(page.text().contains("&lt;script"));
    let page = served.get("/search?q=v3.14").await;
    assert!(page.text().contains("href=\"/tf-zos/tags/v3.14.1\""));
}

#[tokio::test]
async fn people_get_a_helpful_404() {
    let served = Served::recorded().await;
    let answer = served.ask("GET", "/nobody/%3Cb%3E", &BROWSER).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("There is nothing here"));
    assert!(!answer.text().contains("<b>"));
    assert!(
        answer
            .header("content-security-policy")
            .contains("style-src 'sha256-")
    );
}

#[tokio::test]
async fn the_first_page_says_what_is_mirrored() {
    let served = Served::recorded().await;
    let state = r#"{"official": ["tf-zos"], "upstream": "https://u:pw@hub.example.test/", "last_success": 1767225600}"#;
    fs::write(served.layout.state(), state).unwrap();
    let page = served.get("/").await;
    for part in [
        "https://u:***@hub.example.test/",
        "2026-01-01 00:00",
        "Official repositories",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
}
