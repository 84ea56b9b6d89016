//! Everything that a hostile upstream is expected to try, in one table: what was sent, what was
//! refused, and what the operator reads. Each is refused alone, the rest is mirrored, and nothing
//! outside the data folder is touched.
//!
//! `cargo test -p bcm-tests --test it hostile_table -- --nocapture` prints it.

use std::io::Write;

use bcm_hub_sync::store::MAX_PAYLOAD;
use bcm_hub_sync::sync::BlockMode;
use bcm_tests::origin::{BlockFault, HttpFault};
use serde_json::{Value, json};

use super::*;

const TINY: &str = "tf-bootable/ubuntu-tiny.flist";
/// What one spoiled block may cost.
const ONE: &str = "1 block is missing";
/// The repository into which entries are planted.
const HOME: &str = "alice.3bot";

/// One thing that is tried.
struct Case {
    sent: &'static str,
    /// Who has to be named, and a part of why.
    subject: String,
    says: &'static str,
    arrange: Box<dyn Fn(&mut Mirror)>,
    stays_silent: bool,
}

/// Whether only a time-out ends it.
fn stays_silent(fault: &HttpFault) -> bool {
    matches!(
        fault,
        HttpFault::Silent | HttpFault::SilentBody | HttpFault::Drip(..)
    )
}

fn case(
    sent: &'static str,
    subject: impl Into<String>,
    says: &'static str,
    arrange: impl Fn(&mut Mirror) + 'static,
) -> Case {
    Case {
        sent,
        subject: subject.into(),
        says,
        arrange: Box::new(arrange),
        stays_silent: false,
    }
}

/// Lists `entry` beside the others.
fn entry(sent: &'static str, subject: &str, says: &'static str, entry: Value) -> Case {
    case(sent, subject, says, move |mirror| {
        let entry = entry.clone();
        let plant = move |listing: &mut Value| {
            let entries = listing[HOME].as_array_mut().expect("a list");
            entries.push(entry.clone());
        };
        mirror
            .origin
            .fault("/api/fileslist", HttpFault::json(plant));
    })
}

fn file(name: &str, updated: Value) -> Value {
    json!({"name": name, "type": "regular", "size": "1 KB", "updated": updated})
}

fn link(name: &str, target: &str) -> Value {
    json!({"name": name, "type": "symlink", "target": target, "linktime": 1, "updated": 1,
           "size": "1 KB"})
}

/// Answers `fault` for the file of an flist.
fn flist(sent: &'static str, says: &'static str, fault: HttpFault) -> Case {
    let stays_silent = stays_silent(&fault);
    let arrange = move |mirror: &mut Mirror| {
        mirror.origin.fault(&format!("/{TINY}"), fault.clone());
    };
    Case {
        stays_silent,
        ..case(sent, TINY, says, arrange)
    }
}

/// Publishes `content` upstream, with the MD5 that it has.
fn content(
    sent: &'static str,
    says: &'static str,
    make: impl Fn(&bytes::Bytes) -> Vec<u8> + 'static,
) -> Case {
    case(sent, TINY, says, move |mirror| {
        mirror.origin.edit(|users| {
            let home = users.repository("tf-bootable");
            let right = home.content("ubuntu-tiny.flist");
            home.put_file("ubuntu-tiny.flist", make(&right), 1_735_689_601);
        });
    })
}

fn block(sent: &'static str, says: &'static str, fault: BlockFault) -> Case {
    case(sent, TINY, says, move |mirror| {
        let key = fixtures::flists()[TINY].chunks[0].clone();
        mirror.origin.block_fault(&key, fault.clone());
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

fn cases() -> Vec<Case> {
    let long = format!("{}.flist", "x".repeat(250));
    vec![
        entry(
            "a name with ..",
            "escape",
            "..",
            file("../../escape.flist", 1.into()),
        ),
        entry(
            "an absolute name",
            "/etc/passwd",
            "/",
            file("/etc/passwd", 1.into()),
        ),
        entry("the name ..", "..", "..", file("..", 1.into())),
        entry("a name with NUL", "a", "", file("a\0b.flist", 1.into())),
        entry("an empty name", HOME, "empty", file("", 1.into())),
        entry("a name of 256 bytes", "xxx", "255", file(&long, 1.into())),
        entry(
            "a name like a tag's folder",
            ".tag-x",
            "",
            file(".tag-x", 1.into()),
        ),
        case("a repository named .tag-x", ".tag-x", "", |mirror| {
            let plant = |listing: &mut Value| listing[".tag-x"] = json!([]);
            mirror
                .origin
                .fault("/api/fileslist", HttpFault::json(plant));
        }),
        case(
            "a repository named ../outside",
            "../outside",
            "",
            |mirror| {
                let plant = |listing: &mut Value| listing["../outside"] = json!([]);
                mirror
                    .origin
                    .fault("/api/fileslist", HttpFault::json(plant));
            },
        ),
        entry(
            "a link out of the tree",
            "up.flist",
            "",
            link("up.flist", "../../../etc/passwd"),
        ),
        entry(
            "an absolute link",
            "abs.flist",
            "",
            link("abs.flist", "/etc/passwd"),
        ),
        entry(
            "links in a circle",
            "loop.flist",
            "",
            link("loop.flist", "loop.flist"),
        ),
        entry(
            "a time in the future",
            "future.flist",
            "",
            file("future.flist", 9_999_999_999_u64.into()),
        ),
        entry(
            "a negative time",
            "old.flist",
            "",
            file("old.flist", (-1).into()),
        ),
        entry(
            "a time that is text",
            "soon.flist",
            "",
            file("soon.flist", "soon".into()),
        ),
        entry("a number for an entry", HOME, "", json!(17)),
        flist(
            "a 404 page as an flist",
            "MD5",
            HttpFault::body("<h1>404 Not Found</h1>"),
        ),
        flist("status 404 for an flist", "404", HttpFault::status(404)),
        flist("half of an flist", "of 3448", HttpFault::Truncated(1000)),
        flist(
            "a redirect to file:",
            "not followed",
            HttpFault::redirect("file:///etc/passwd"),
        ),
        flist(
            "a redirect to another host",
            "another host",
            HttpFault::redirect("http://127.1.2.3/x"),
        ),
        flist("nothing, after accepting", "no answer", HttpFault::Silent),
        flist("a head and no body", "no answer", HttpFault::SilentBody),
        flist(
            "a byte every 10 ms",
            "bytes/s",
            HttpFault::Drip(1, Duration::from_millis(10)),
        ),
        flist("an flist of 1 TiB", "", HttpFault::WrongLength(1 << 40)),
        content("a page with its own MD5", "not an flist", |_| {
            b"<h1>404</h1>".to_vec()
        }),
        content("a gzip bomb", "", |_| gzip(&vec![0; 64 << 20])),
        content("a damaged gzip", "", |right| {
            let mut bytes = right.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xaa);
            bytes
        }),
        content("an archive without a database", "", |_| gzip(&[0; 1024])),
        block(
            "a block that is another",
            ONE,
            BlockFault::Bytes("something else".into()),
        ),
        block(
            "a block of 9 MiB",
            ONE,
            BlockFault::Oversize(MAX_PAYLOAD as u64 + (1 << 20)),
        ),
        block("a block cut off", ONE, BlockFault::Cut),
        block("bytes that are not RESP", ONE, BlockFault::Garbage),
        case(
            "a scan cursor that repeats",
            "the namespace",
            "",
            |mirror| {
                mirror.config.blocks = BlockMode::All;
                mirror.origin.edit(|_| ());
                mirror.origin.edit_blocks(|_| ());
                mirror.origin.scan_page(5);
                mirror.origin.scan_circle(Some(3));
            },
        ),
    ]
}

/// What makes the whole listing useless: nothing can be mirrored, and nothing is deleted.
fn listings() -> Vec<(&'static str, HttpFault)> {
    vec![
        ("JSON that never ends", HttpFault::EndlessJson),
        ("1 GiB of JSON", HttpFault::WrongLength(1 << 30)),
        ("JSON of the wrong type", HttpFault::body("\"text\"")),
        (
            "JSON nested 100,000 deep",
            HttpFault::body("[".repeat(100_000)),
        ),
        ("no answer to any listing", HttpFault::Silent),
        (
            "listings a byte every 10 ms",
            HttpFault::Drip(1, Duration::from_millis(10)),
        ),
        (
            "listings from file:",
            HttpFault::redirect("file:///etc/passwd"),
        ),
    ]
}

fn row(sent: &str, refused: &str, read: &str) {
    let short: String = read.chars().take(110).collect();
    let more = if short.len() < read.len() { "…" } else { "" };
    let refused: String = refused.chars().take(34).collect();
    println!(
        "{sent:<30} | {refused:<34} | {}{more}",
        short.replace('\n', " ")
    );
}

#[test]
fn each_is_refused_alone_and_the_rest_is_mirrored() {
    row("sent", "refused", "what the operator reads");
    for case in cases() {
        let mut mirror = Mirror::new();
        if case.stays_silent {
            mirror = mirror.impatient();
        }
        (case.arrange)(&mut mirror);
        let report = mirror.partial();
        let mut all = report.refused.iter().chain(&report.deferred);
        let named = all.find(|refused| refused.subject.contains(&case.subject));
        let Some(named) = named else {
            panic!("{}: {} is not named: {report:#?}", case.sent, case.subject);
        };
        let words = format!("{} {}", named.reason, named.subject);
        assert!(words.contains(case.says), "{}: {words}", case.sent);
        assert!(!named.reason.is_empty(), "{}", case.sent);
        row(case.sent, &named.subject, &named.reason);
        // All that is recorded is there but what was spoiled, and nothing else is.
        let (recorded, found) = (recorded_tree(), mirror.tree());
        let extra: Vec<_> = found
            .0
            .keys()
            .filter(|path| !recorded.0.contains_key(*path))
            .collect();
        assert!(extra.is_empty(), "{}: {extra:?}", case.sent);
        assert!(
            found.0.len() + 8 >= recorded.0.len(),
            "{}: {found:?}",
            case.sent
        );
        assert!(
            found
                .0
                .contains_key("tf-autobuilder/bootstrap-260101.flist"),
            "{}",
            case.sent
        );
        let outside = Tree::of_folder(mirror.folder.path()).0;
        assert!(
            outside.keys().all(|path| path.starts_with("data")),
            "{}",
            case.sent
        );
    }
}

#[test]
fn a_useless_listing_ends_the_sync_and_changes_nothing() {
    for (sent, fault) in listings() {
        let mut mirror = Mirror::synced();
        if stays_silent(&fault) {
            mirror = mirror.impatient();
        }
        let before = mirror.tree();
        mirror.origin.fault("/api/*", fault);
        let begin = std::time::Instant::now();
        let read = match mirror.try_sync() {
            Err(error) => {
                let mut text = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    text = format!("{text}: {cause}");
                    source = cause.source();
                }
                text
            }
            Ok(report) => panic!("{sent}: {report:#?}"),
        };
        assert!(begin.elapsed() < Duration::from_secs(60), "{sent}");
        row(sent, "the whole listing", &read);
        before.assert_same(&mirror.tree(), sent);
    }
}
