use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn layout() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    fs::create_dir_all(layout.users()).unwrap();
    (folder, layout)
}

#[test]
fn a_tree_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        scan(&Layout::new(folder.path())).unwrap(),
        LocalScan::default()
    );
}

#[test]
fn every_kind_of_entry_is_found() {
    let (_folder, layout) = layout();
    let home = layout.users().join("home");
    fs::create_dir_all(home.join(".tag-v1")).unwrap();
    fs::write(home.join("a b+ü.flist"), vec![0; 2048]).unwrap();
    symlink("a b+ü.flist", home.join("latest.flist")).unwrap();
    symlink("../other/gone.flist", home.join("cross.flist")).unwrap();
    symlink("../home/.tag-v1", home.join("production")).unwrap();
    symlink("../../home/a b+ü.flist", home.join(".tag-v1/zos.flist")).unwrap();
    fs::write(layout.state(), r#"{"official": ["home"], "more": 1}"#).unwrap();

    let scan = scan(&layout).unwrap();
    assert_eq!(scan.odd, []);
    assert_eq!(scan.folders.len(), 3);
    assert_eq!(scan.files.len(), 1);
    let repository = &scan.catalog.repositories["home"];
    assert!(repository.official);
    assert_eq!(repository.entries.len(), 4);
    let Entry::Regular(file) = &repository.entries["a b+ü.flist"] else {
        panic!()
    };
    assert_eq!(
        (file.size, file.listed_size.as_str()),
        (Some(2048), "2.00 KB")
    );
    let Entry::Symlink(link) = &repository.entries["cross.flist"] else {
        panic!()
    };
    assert_eq!(link.target.to_string(), "other/gone.flist");
    let Entry::TagLink(link) = &repository.entries["production"] else {
        panic!()
    };
    assert_eq!(link.target.to_string(), "home/tags/v1");
    let link = &repository.tags["v1"].links["zos.flist"];
    assert_eq!(link.target.to_string(), "home/a b+ü.flist");
}

#[test]
fn odd_entries_are_named_and_nothing_outside_is_followed() {
    let (folder, layout) = layout();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.flist"), "x").unwrap();
    let users = layout.users();
    let home = users.join("home");
    fs::create_dir_all(home.join("folder")).unwrap();
    fs::create_dir_all(home.join(".tag-")).unwrap();
    fs::create_dir_all(home.join(".tag-v1/deeper")).unwrap();
    fs::write(home.join(".tag-v1/file.flist"), "x").unwrap();
    fs::write(users.join("stray"), "x").unwrap();
    fs::write(users.join(".keep"), "").unwrap();
    symlink(&outside, users.join("evil")).unwrap();
    symlink(outside.join("secret.flist"), home.join("evil.flist")).unwrap();
    symlink("../../../outside/secret.flist", home.join("up.flist")).unwrap();
    symlink(&outside, home.join(".tag-evil")).unwrap();
    fs::write(layout.state(), "no JSON").unwrap();

    let scan = scan(&layout).unwrap();
    let mut odd: Vec<_> = scan
        .odd
        .iter()
        .map(|odd| {
            odd.path
                .strip_prefix(folder.path())
                .unwrap()
                .to_str()
                .unwrap()
        })
        .collect();
    odd.sort_unstable();
    assert_eq!(
        odd,
        [
            "hub/state.json",
            "hub/users/evil",
            "hub/users/home/.tag-",
            "hub/users/home/.tag-evil",
            "hub/users/home/.tag-v1/deeper",
            "hub/users/home/.tag-v1/file.flist",
            "hub/users/home/evil.flist",
            "hub/users/home/folder",
            "hub/users/home/up.flist",
            "hub/users/stray",
        ]
    );
    assert_eq!(scan.catalog.repositories.len(), 1);
    assert!(scan.catalog.repositories["home"].entries.is_empty());
    assert!(
        scan.catalog.repositories["home"].tags["v1"]
            .links
            .is_empty()
    );
}

#[test]
fn only_regular_files_inside_the_tree_open() {
    let (folder, layout) = layout();
    let users = layout.users();
    let home = users.join("home");
    fs::create_dir_all(home.join("dir.flist")).unwrap();
    fs::write(folder.path().join("secret"), "x").unwrap();
    fs::write(home.join("a.flist"), "abc").unwrap();
    symlink(folder.path().join("secret"), home.join("evil.flist")).unwrap();
    symlink(&home, users.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.join("fifo.flist"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let open = |repository: &str, name: &str| {
        open_flist(
            &users,
            &RepoName::new(repository).unwrap(),
            &EntryName::new(name).unwrap(),
        )
    };
    let (_, identity) = open("home", "a.flist").unwrap();
    assert_eq!(identity.size, 3);
    for (repository, name) in [
        ("home", "gone.flist"),
        ("home", "evil.flist"),
        ("home", "dir.flist"),
        ("home", "fifo.flist"),
        ("link", "a.flist"),
        ("gone", "a.flist"),
    ] {
        let error = open(repository, name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{repository}/{name}");
    }
}

#[test]
fn listed_sizes_are_as_hubs_write_them() {
    for (bytes, text) in [
        (0, "0.00 KB"),
        (10, "0.01 KB"),
        (1141, "1.11 KB"),
        (4096, "4.00 KB"),
        (79_084, "77.23 KB"),
        (1_234_567_890, "1205632.71 KB"),
    ] {
        assert_eq!(listed_size(bytes), text);
    }
}
