//! The Bootstrap's server over real connections, on what a sync has made.

use std::fs;
use std::time::Duration;

use bcm_bootstrap_sync::link::{Turn, link};
use bcm_bootstrap_sync::manifest::Manifest;
use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
use bcm_bootstrap_sync::verify::verify;
use bcm_core::http::header::{
    ETAG, HOST, HeaderName, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use bcm_core::http::{HttpClient, HttpOptions, Method, Request};
use bcm_tests::bootstrap::{Bootstrap, content};
use tokio_util::sync::CancellationToken;

use super::{Mirror, now};

const PROD: &str = "zero-os-production-2.efi";

struct Answer {
    status: u16,
    etag: String,
    modified: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Serves what is in the mirror's folder, and asks it.
async fn served(mirror: &Mirror) -> (String, HttpClient, CancellationToken) {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut options = ServeOptions::new(mirror.layout.clone(), listen);
    options.refresh = Duration::ZERO;
    let provision = "prod/7/console=ttyS0".parse().unwrap();
    let mac = "52:54:00:12:34:56".parse().unwrap();
    options.provision.insert(mac, provision);
    let server = BootstrapServer::bind(options).unwrap();
    let url = format!("http://{}", server.local_addrs()[0]);
    let cancel = CancellationToken::new();
    tokio::spawn(server.run(cancel.clone()));
    let client = HttpClient::new(HttpOptions::default()).unwrap();
    (url, client, cancel)
}

async fn ask(
    client: &HttpClient,
    method: Method,
    url: String,
    headers: &[(HeaderName, String)],
) -> Answer {
    let mut request = Request::get(url.parse().unwrap());
    request.method = method;
    for (name, value) in headers {
        request = request.with_header(name.clone(), value);
    }
    let response = client.send(request).await.unwrap();
    let header = |name| response.header(name).unwrap_or_default().to_owned();
    Answer {
        status: response.status().as_u16(),
        etag: header(ETAG),
        modified: header(LAST_MODIFIED),
        body: response.bytes(10 << 20).await.unwrap().to_vec(),
    }
}

fn owned(headers: &[(HeaderName, &str)]) -> Vec<(HeaderName, String)> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.clone(), (*value).to_owned()))
        .collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn kernels_are_served_whole_in_part_and_not_again() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    block_on(async {
        let (url, client, _cancel) = served(&mirror).await;
        let get = |path: &str, headers: &[(HeaderName, &str)]| {
            let headers = owned(headers);
            let (client, url) = (client.clone(), format!("{url}{path}"));
            async move { ask(&client, Method::GET, url, &headers).await }
        };
        let bytes = content(PROD, 300_001);
        let whole = get(&format!("/kernel/{PROD}"), &[]).await;
        assert_eq!((whole.status, &whole.body), (200, &bytes));
        let link = get("/kernel/net/prod.efi", &[]).await;
        assert_eq!((&link.etag, &link.body), (&whole.etag, &bytes));
        assert_eq!(link.modified, whole.modified);
        let part = get(
            "/kernel/net/prod.efi",
            &[(RANGE, "bytes=300000-"), (IF_RANGE, &whole.etag)],
        );
        let part = part.await;
        assert_eq!((part.status, &part.body[..]), (206, &bytes[300_000..]));
        let same = get("/kernel/net/prod.efi", &[(IF_NONE_MATCH, &whole.etag)]).await;
        assert_eq!((same.status, same.body.len()), (304, 0));
        for path in [
            "/kernel/none.efi",
            "/kernel/net/none.efi",
            "/kernel/..%2fmanifest.json",
            "/kernel/%2e%2e/manifest.json",
            "/manifest.json",
            "/kernel/net",
            "/kernel/.x",
        ] {
            assert_eq!(get(path, &[]).await.status, 404, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            for path in ["/api/kernel", "/api/symlink/prod.efi/x", "/kernel/x"] {
                let answer = ask(&client, method.clone(), format!("{url}{path}"), &[]).await;
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
        // What is turned by hand is served at once.
        let mode = "prod".parse().unwrap();
        let turn = Turn::Pin("zero-os-testing-3.efi".parse().unwrap());
        link_now(&mirror, &mode, &turn);
        let other = get("/kernel/net/prod.efi", &[(IF_NONE_MATCH, &whole.etag)]).await;
        assert_eq!((other.status, other.body.len()), (200, 250_000));
    });
    let report = mirror.sync();
    assert_eq!(report.pinned.len(), 1, "{report:?}");
    assert_eq!(mirror.link("prod").unwrap(), "../zero-os-testing-3.efi");
    link_now(&mirror, &"prod".parse().unwrap(), &Turn::Follow);
    assert_eq!(mirror.link("prod").unwrap(), format!("../{PROD}"));
}

fn link_now(mirror: &Mirror, mode: &bcm_bootstrap_sync::run_mode::RunMode, turn: &Turn) {
    link(&mirror.layout, mode, turn, false).unwrap();
}

#[test]
fn scripts_say_what_was_asked_and_nothing_else() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    block_on(async {
        let (url, client, _cancel) = served(&mirror).await;
        let get = |path: &str, headers: &[(HeaderName, &str)]| {
            let headers = owned(headers);
            let (client, url) = (client.clone(), format!("{url}{path}"));
            async move { ask(&client, Method::GET, url, &headers).await }
        };
        let line = "nomodeset version=v3 runmode=prod panic=7200";
        for (path, end) in [
            (
                "/ipxe/prod",
                format!("{url}/kernel/net/prod.efi {line} && goto start ||"),
            ),
            (
                "/ipxe/prod/7/root=___dev___vda",
                format!(
                    "{url}/kernel/net/prod.efi {line} farmer_id=7 root=/dev/vda && goto start ||"
                ),
            ),
            (
                "/ipxe/prod/7/a/zero-os-testing-3.efi",
                format!("{url}/kernel/zero-os-testing-3.efi {line} farmer_id=7 a && goto start ||"),
            ),
            (
                "/provision/52-54-00-12-34-56",
                format!(
                    "{url}/kernel/net/prod.efi {line} farmer_id=7 console=ttyS0 && goto start ||"
                ),
            ),
        ] {
            let answer = get(path, &[]).await;
            let text = answer.text();
            assert_eq!(answer.status, 200, "{path}: {text}");
            let fetch = text
                .lines()
                .find(|line| line.starts_with("imgfetch"))
                .unwrap();
            assert!(fetch.ends_with(&end), "{fetch}");
        }
        let proto = HeaderName::from_static("x-forwarded-proto");
        let script = get("/ipxe/prod", &[(proto, "https"), (HOST, "boot.test")])
            .await
            .text();
        assert!(
            script.contains(" http://unsecure.boot.test/kernel/net/prod.efi "),
            "{script}"
        );
        for (path, status) in [
            ("/ipxe/nosuch", 401),
            ("/ipxe/Prod", 401),
            ("/iso/nosuch/1", 401),
            ("/ipxe/prod/1/a/none.efi", 404),
            ("/provision/52:54:00:00:00:00", 404),
            ("/ipxe/prod/1%0Ashell", 400),
            ("/ipxe/prod/1/%24%7Bnet0%7D", 400),
            ("/ipxe/prod/1/%22a", 400),
            ("/ipxe/prod/1/a%23b", 400),
            ("/ipxe/prod/1/a%20%26%26%20shell", 400),
        ] {
            let answer = get(path, &[]).await;
            assert_eq!(answer.status, status, "{path}");
            assert!(!answer.text().contains("#!ipxe"), "{path}");
        }
        let hostile = get("/ipxe/prod", &[(HOST, "a$b")]).await;
        assert_eq!(hostile.status, 400);
        for path in [
            "/",
            "/images",
            "/generate",
            "/expert?mode=prod&farm=7&extra=a%2Fb&kernel=",
        ] {
            assert_eq!(get(path, &[]).await.status, 200, "{path}");
        }
        let page = get("/expert?mode=prod&farm=7&extra=a%2Fb&kernel=", &[])
            .await
            .text();
        assert!(page.contains("/iso/prod/7/a___b\""), "{page}");
        let page = get("/generate?mode=prod&farm=%22%3E%3Cscript%3E", &[])
            .await
            .text();
        assert!(
            !page.contains("<script") && page.contains("not taken"),
            "{page}"
        );
        let metrics = get("/metrics", &[]).await.text();
        assert!(metrics.contains("\nbcm_bootstrap_kernels 4\n"), "{metrics}");
        assert_eq!(get("/healthz", &[]).await.status, 200);
    });
}

#[test]
fn no_list_is_given_before_a_first_sync_has_ended() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    block_on(async {
        let (url, client, _cancel) = served(&mirror).await;
        let lists = async |status: u16, when: &str| {
            for path in ["/healthz", "/api/images", "/images"] {
                let answer = ask(&client, Method::GET, format!("{url}{path}"), &[]).await;
                assert_eq!(answer.status, status, "{path} {when}");
            }
        };
        lists(503, "with nothing").await;
        std::thread::scope(|beside| beside.spawn(|| mirror.sync()).join().unwrap());
        lists(200, "after a sync").await;
        // As it is in the middle of the first.
        let noted = mirror.layout.manifest();
        let mut manifest = Manifest::load(&noted).unwrap().manifest;
        manifest.last_attempt = None;
        manifest.save(&noted).unwrap();
        lists(503, "within a sync").await;
        let kernel = format!("{url}/kernel/{PROD}");
        assert_eq!(ask(&client, Method::GET, kernel, &[]).await.status, 200);
        // What another program put there.
        fs::remove_file(&noted).unwrap();
        lists(200, "without notes").await;
        // A disk that is not mounted.
        manifest.last_attempt = Some(1);
        manifest.save(&noted).unwrap();
        fs::remove_dir_all(mirror.layout.kernels()).unwrap();
        lists(503, "without kernels").await;
    });
}

#[test]
fn damage_is_found_and_repaired() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
    let path = mirror.layout.kernels().join(PROD);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::remove_file(mirror.layout.links().join("dev.efi")).unwrap();
    let found = verify(&mirror.layout, false).unwrap();
    assert_eq!(found.problems.len(), 2, "{found:?}");
    let repaired = verify(&mirror.layout, true).unwrap();
    assert!(repaired.problems.iter().all(|problem| problem.repaired));
    assert_eq!(mirror.kernel(PROD), None);
    mirror.sync();
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
    assert_eq!(mirror.kernel(PROD).unwrap(), content(PROD, 300_001));
}

#[test]
fn what_was_published_but_not_noted_is_no_damage() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    // A sync ended between the two.
    let again = content("again", 123_456);
    origin.publish(PROD, now() - 5, again.clone());
    fs::write(mirror.layout.kernels().join(PROD), &again).unwrap();
    assert_eq!(verify(&mirror.layout, false).unwrap().problems.len(), 1);
    let hash = bcm_core::digest::Sha256::of(&again);
    let note = serde_json::json!({"source": origin.url(), "size": 123_456, "sha256": hash});
    let path = mirror.layout.staging().join(format!("{PROD}.json"));
    fs::write(path, note.to_string()).unwrap();
    let verified = verify(&mirror.layout, false).unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    mirror.sync();
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
    assert_eq!(mirror.kernel(PROD).unwrap(), again);
    mirror.assert_tidy();
}
