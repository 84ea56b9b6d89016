//! What is not published, and what it leaves: nothing.

use bcm_core::lock::FolderLock;
use bcm_tests::bcm;
use bcm_tests::mirror::Served;
use bcm_tests::tree::Tree;
use bcm_tests::wire::get;
use tar::EntryType;

use super::{archive, ask, granted, hub, refused, standalone, text, token, tree, upload};

#[test]
fn an_flist_whose_blocks_are_not_here_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("tree");
    tree(&source, "elsewhere");
    let flist = folder.path().join("elsewhere.flist");
    let other = folder.path().join("other");
    let pack = [
        "flist",
        "pack",
        text(&source),
        "--out",
        text(&flist),
        "--data",
        text(&other),
    ];
    bcm::run(pack).assert_code(0);

    let mirror = standalone();
    let failed = hub(&mirror, &["publish", text(&flist), "alice/x"]).assert_code(1);
    assert!(
        failed.stderr.contains("are not in the store, such as"),
        "{failed}"
    );
    let served = mirror.serve();
    let me = token(&mirror, &["alice"]);
    let bytes = std::fs::read(&flist).expect("the flist");
    let answer = upload(served.http, &me, "upload-flist", "x.flist", &bytes);
    let message = refused(&answer, 422);
    assert!(
        message.contains("of its blocks are not in the store"),
        "{message}"
    );
    assert!(!message.contains(text(&mirror.data())), "{message}");
    assert_eq!(get(served.http, "/api/flist").text(), "[]\n");
    // Once the blocks are here, it is taken.
    hub(&mirror, &["publish", text(&source), "alice/tree"]).assert_code(0);
    granted(&upload(served.http, &me, "upload-flist", "x.flist", &bytes));
    mirror.verify().assert_code(0);
}

#[test]
fn tricks_with_paths_are_refused_and_leave_nothing() {
    let mirror = standalone();
    let served = mirror.serve();
    let me = token(&mirror, &["alice"]);
    let empty = mirror.users();
    for (path, kind, link, why) in [
        ("../evil", EntryType::Regular, "", ".. in it"),
        ("/etc/evil", EntryType::Regular, "", "is absolute"),
        (
            "l",
            EntryType::Symlink,
            "../../../etc/passwd",
            "out of the tree",
        ),
        ("h", EntryType::Link, "/etc/passwd", "hard link"),
        ("h", EntryType::Link, "../../etc/passwd", "hard link"),
        ("sda", EntryType::Block, "", "is a device"),
        ("null", EntryType::Char, "", "is a device"),
        ("p", EntryType::Fifo, "", "named pipe"),
    ] {
        let content = archive(path, kind, link, b"");
        let message = refused(
            &upload(served.http, &me, "upload", "x.tar.gz", &content),
            422,
        );
        assert!(message.contains(why) && message.contains(path), "{message}");
        let file = mirror.data().join("x.tar.gz");
        std::fs::write(&file, &content).expect("a file");
        let failed = hub(&mirror, &["publish", text(&file), "alice/x"]).assert_code(1);
        assert!(failed.stderr.contains(why), "{failed}");
        std::fs::remove_file(&file).expect("gone");
    }
    let good = archive("a", EntryType::Regular, "", b"x");
    for name in [
        "../x.tar.gz",
        "..",
        "a/b.tar.gz",
        ".tag-x.tar.gz",
        "x.zip",
        "",
        "\u{1}.tar.gz",
    ] {
        let answer = upload(served.http, &me, "upload", name, &good);
        assert!(
            matches!(answer.status, 400 | 422),
            "{name:?}: {}",
            answer.text()
        );
    }
    for path in [
        "/..",
        "/%2e%2e/crosslink/%2e%2e/x",
        "/a/link/..%2fx",
        "/a/rename/.tag-x",
        "/..%2f..%2fetc/link/x",
        "/x/crosslink/..%2f..%2fetc/passwd",
        "/..%2fx/x/tag/alice/a",
    ] {
        let answer = ask(served.http, &me, "GET", path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.text()
        );
    }
    for place in [
        "../x/y",
        "alice/../y",
        "/etc/passwd",
        "alice/.tag-x",
        "api/x",
        "me/x",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let failed = hub(&mirror, &["publish", text(folder.path()), place]);
        assert!(matches!(failed.code(), 1 | 2), "{place}: {failed}");
    }
    empty.assert_same(&mirror.users(), "after all of that");
    mirror.assert_nothing_outside();
    // Nothing of what was refused is left anywhere in the data folder.
    served.process.interrupt();
    let left = Tree::of_folder(&mirror.data().join("hub"));
    let left: Vec<&String> = left
        .0
        .keys()
        .filter(|path| path.contains("upload-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_too_large_is_refused() {
    let mirror = standalone();
    let me = token(&mirror, &["alice"]);
    let limits = ["--max-upload", "100k", "--max-unpacked", "1M"];
    let served = Served::start_with(&mirror.data(), &limits);
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let large = archive("noise", EntryType::Regular, "", &noise);
    assert!(large.len() > 300_000);
    let message = refused(&upload(served.http, &me, "upload", "x.tar.gz", &large), 413);
    assert!(message.contains("102400"), "{message}");
    let bomb = archive("zeros", EntryType::Regular, "", &vec![0; 3_000_000]);
    assert!(bomb.len() < 100_000);
    let message = refused(&upload(served.http, &me, "upload", "x.tar.gz", &bomb), 422);
    assert!(message.contains("unpacks to exceeds 1048576"), "{message}");
    assert_eq!(get(served.http, "/api/flist").text(), "[]\n");
}

#[test]
fn two_do_not_write_at_once() {
    let mirror = standalone();
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), "x");
    let lock = FolderLock::acquire(&mirror.data().join("lock")).expect("free");
    let source = text(folder.path());
    let failed = hub(&mirror, &["publish", source, "alice/x"]).assert_code(1);
    assert!(
        failed.stderr.contains("in use by another process"),
        "{failed}"
    );
    // Tokens are another matter: one that leaked is revoked at once.
    let me = token(&mirror, &["alice"]);
    let id = me.split('_').nth(1).expect("its name");
    hub(&mirror, &["token", "revoke", id]).assert_code(0);
    drop(lock);
    hub(&mirror, &["publish", source, "alice/x"]).assert_code(0);
}
