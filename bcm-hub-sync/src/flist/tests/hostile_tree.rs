//! Trees that cannot be.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::unpack::unpack_to;
use crate::block::BlockKey;
use crate::block::codec::{ChunkKey, ChunkRef};
use crate::flist::writer::Writer;
use crate::flist::{
    Acl, Directory, DirectoryKey, Flist, FlistError, Inode, Kind, Limits, TreeProblem, message,
};
use crate::store::memory::MemoryStore;

fn inode(name: &str, kind: Kind) -> Inode {
    Inode {
        name: name.into(),
        size: 0,
        kind,
        acl_key: Acl::root(0o755).key(),
        modified: 1,
        created: 1,
    }
}

fn file(name: &str) -> Inode {
    inode(name, Kind::File(vec![]))
}

fn link(name: &str, target: &str) -> Inode {
    inode(name, Kind::Link(target.into()))
}

fn folder(name: &str, path: &str) -> Inode {
    inode(
        name,
        Kind::Directory(DirectoryKey::of(path.as_bytes()).to_string()),
    )
}

struct Tree {
    folder: TempDir,
}

impl Tree {
    /// An flist of directories by path, whatever is in them.
    fn new(directories: Vec<(&str, Vec<Inode>)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::new(&folder.path().join("x.flist"), folder.path()).unwrap();
        let acl = Acl::root(0o755);
        writer
            .entry(&acl.key(), &message::write_acl(&acl).unwrap())
            .unwrap();
        for (path, contents) in directories {
            let directory = Directory {
                name: path.rsplit('/').next().unwrap_or_default().into(),
                location: path.into(),
                contents,
                parent: DirectoryKey::of(b"").to_string(),
                size: 4096,
                acl_key: acl.key(),
                modified: 1,
                created: 1,
            };
            let key = DirectoryKey::of(path.as_bytes()).to_string();
            writer
                .entry(&key, &message::write_directory(&directory).unwrap())
                .unwrap();
        }
        writer.finish().unwrap();
        Self { folder }
    }

    fn open(&self, limits: &Limits) -> Result<Flist, FlistError> {
        Flist::open(
            &self.folder.path().join("x.flist"),
            limits,
            self.folder.path(),
        )
    }

    fn problem_with(&self, limits: &Limits) -> (String, TreeProblem) {
        match self.open(limits).and_then(|flist| flist.inspect()) {
            Err(FlistError::Tree {
                inside, problem, ..
            }) => (inside.to_str().unwrap().to_owned(), problem),
            other => panic!("{other:?}"),
        }
    }

    fn problem(&self) -> (String, TreeProblem) {
        self.problem_with(&Limits::default())
    }
}

#[test]
fn names_that_are_none_are_refused() {
    for name in [
        "",
        ".",
        "..",
        "/",
        "a/b",
        "/etc/passwd",
        "../x",
        "a\0b",
        &"x".repeat(256),
    ] {
        let tree = Tree::new(vec![("", vec![folder("d", "d")]), ("d", vec![file(name)])]);
        let (inside, problem) = tree.problem();
        assert_eq!(inside, "/d");
        assert!(
            matches!(problem, TreeProblem::Name(..)),
            "{name:?}: {problem}"
        );
    }
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let tree = Tree::new(vec![("", vec![link("a", "/tmp"), folder("a", "a")])]);
    assert_eq!(
        tree.problem(),
        ("/a".to_owned(), TreeProblem::DuplicateName)
    );
}

#[test]
fn missing_entries_are_named() {
    let tree = Tree::new(vec![("", vec![folder("a", "a")])]);
    let key = DirectoryKey::of(b"a").to_string();
    assert_eq!(
        tree.problem(),
        ("/a".to_owned(), TreeProblem::MissingDirectory(key))
    );
    assert!(Tree::new(vec![]).open(&Limits::default()).is_err());

    let mut orphan = file("f");
    orphan.acl_key = "0123456789abcdef".to_owned();
    let tree = Tree::new(vec![("", vec![orphan])]);
    let problem = TreeProblem::MissingAcl("0123456789abcdef".to_owned());
    assert_eq!(tree.problem(), ("/f".to_owned(), problem));

    let odd = inode("d", Kind::Directory("not a key".to_owned()));
    let tree = Tree::new(vec![("", vec![odd])]);
    assert!(matches!(tree.problem().1, TreeProblem::Key(_)));
}

#[test]
fn an_inode_without_an_acl_is_roots() {
    let mut bare = file("f");
    bare.acl_key.clear();
    let tree = Tree::new(vec![("", vec![bare.clone()])]);
    let flist = tree.open(&Limits::default()).unwrap();
    assert_eq!(flist.acl(&bare, Path::new("/f")).unwrap(), Acl::root(0o644));
}

#[test]
fn cycles_and_shared_directories_are_refused() {
    for tree in [
        // The root in itself, a directory in itself, two in each other.
        Tree::new(vec![("", vec![folder("a", "")])]),
        Tree::new(vec![
            ("", vec![folder("a", "a")]),
            ("a", vec![folder("b", "a")]),
        ]),
        Tree::new(vec![
            ("", vec![folder("a", "a")]),
            ("a", vec![folder("b", "b")]),
            ("b", vec![folder("c", "a")]),
        ]),
    ] {
        assert!(matches!(tree.problem().1, TreeProblem::Cycle(_)));
    }
    // Each level twice in the one above: 2^40 paths, if they were all walked.
    let names: Vec<String> = (0..41).map(|n| format!("level{n}")).collect();
    let mut levels = vec![("", vec![folder("x", &names[0])])];
    for pair in names.windows(2) {
        levels.push((&pair[0], vec![folder("l", &pair[1]), folder("r", &pair[1])]));
    }
    levels.push((&names[40], vec![file("f")]));
    assert!(matches!(
        Tree::new(levels).problem().1,
        TreeProblem::Cycle(_)
    ));
}

#[test]
fn the_tree_has_limits() {
    let limits = Limits::default();
    let paths: Vec<String> = (1..6).map(|n| ["d"; 5][..n].join("/")).collect();
    let mut levels = vec![("", vec![folder("d", "d")])];
    for pair in paths.windows(2) {
        levels.push((&pair[0], vec![folder("d", &pair[1])]));
    }
    let chunk = ChunkRef {
        hash: BlockKey::of(b""),
        key: ChunkKey([0; 16]),
    };
    levels.push((&paths[4], vec![inode("f", Kind::File(vec![chunk; 3]))]));
    let tree = Tree::new(levels);
    assert_eq!(
        tree.open(&limits)
            .unwrap()
            .inspect()
            .unwrap()
            .block_references,
        3
    );
    for (limits, expected) in [
        (
            Limits {
                depth: 4,
                ..limits.clone()
            },
            "its depth",
        ),
        (
            Limits {
                path_bytes: 11,
                ..limits.clone()
            },
            "the length of its path",
        ),
        (
            Limits {
                entries: 5,
                ..limits.clone()
            },
            "the number of files",
        ),
        (
            Limits {
                blocks: 2,
                ..limits.clone()
            },
            "the number of blocks",
        ),
    ] {
        let (_, problem) = tree.problem_with(&limits);
        assert!(problem.to_string().contains(expected), "{problem}");
    }
    let exact = Limits {
        depth: 5,
        path_bytes: 12,
        entries: 6,
        blocks: 3,
        ..limits
    };
    assert!(tree.open(&exact).unwrap().inspect().is_ok());
}

#[test]
fn a_refused_tree_writes_nothing() {
    let tree = Tree::new(vec![(
        "",
        vec![file("good"), link("out", "/tmp"), file("../bad")],
    )]);
    let dest = tree.folder.path().join("dest");
    let flist = tree.open(&Limits::default()).unwrap();
    assert!(unpack_to(&flist, &MemoryStore::default(), &dest).is_err());
    assert!(!dest.exists());
}

#[test]
fn links_are_made_and_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let tree = Tree::new(vec![
        (
            "",
            vec![
                folder("d", "d"),
                link("up", "../../../.."),
                link("out", target),
            ],
        ),
        ("d", vec![link("out", target), file("f")]),
    ]);
    let dest = tree.folder.path().join("dest");
    let flist = tree.open(&Limits::default()).unwrap();
    let report = unpack_to(&flist, &MemoryStore::default(), &dest).unwrap();
    assert_eq!((report.tree.links, report.tree.files), (3, 1));
    assert_eq!(fs::read_link(dest.join("out")).unwrap(), outside.path());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // The link's own mode and time were set, not those of what it leads to.
    assert_ne!(
        fs::metadata(outside.path()).unwrap().modified().unwrap(),
        fs::symlink_metadata(dest.join("out"))
            .unwrap()
            .modified()
            .unwrap()
    );
}

#[test]
fn a_file_whose_size_is_not_its_chunks_is_named() {
    let mut wrong = file("f");
    wrong.size = 5;
    let tree = Tree::new(vec![("", vec![wrong, file("good")])]);
    let dest = tree.folder.path().join("dest");
    let flist = tree.open(&Limits::default()).unwrap();
    let report = unpack_to(&flist, &MemoryStore::default(), &dest).unwrap();
    assert_eq!((report.tree.files, report.failed.count), (1, 1));
    assert!(report.failed.first[0].reason.contains("5 bytes"));
    assert!(!dest.join("f").exists());
}
