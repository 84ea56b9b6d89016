use std::fs;

use super::fixtures::{Users, open, recorded};
use crate::flist::{Backend, rewrite_backend};

fn mirror() -> Backend {
    Backend {
        namespace: "default".to_owned(),
        host: "mirror.example.test".to_owned(),
        port: 9901,
        password: None,
    }
}

fn rewrite(users: &Users, input: &std::path::Path, output: &std::path::Path) {
    let limits = crate::flist::Limits::default();
    rewrite_backend(input, output, &mirror(), &limits, users.scratch()).unwrap();
}

#[test]
fn only_the_backend_changes_and_the_bytes_are_always_the_same() {
    let users = Users::unpack();
    for name in recorded().keys() {
        let (one, two) = (users.path("one.flist"), users.path("two.flist"));
        rewrite(&users, &users.path(name), &one);
        rewrite(&users, &users.path(name), &two);
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        // Rewriting what was rewritten changes nothing more.
        rewrite(&users, &one, &two);
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());

        let (before, after) = (users.open(name), open(&one, users.scratch()).unwrap());
        assert_eq!(after.backend().unwrap(), Some(mirror()));
        assert_eq!(
            before.metadata().iter().count(),
            after.metadata().iter().count()
        );
        let steps = |flist: &crate::flist::Flist| {
            flist
                .walk()
                .map(|step| step.unwrap())
                .map(|step| match &step {
                    crate::flist::Step::Entry { path, inode }
                    | crate::flist::Step::Leave { path, inode } => {
                        let acl = flist.acl(inode, path).unwrap();
                        (step, acl)
                    }
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(&before), steps(&after), "{name}");
    }
    // Four flists, one of each, and no temporary file.
    let left = fs::read_dir(users.path("")).unwrap().count();
    assert_eq!(left, 5 + 2);
}

#[test]
fn a_refused_input_leaves_no_output() {
    let users = Users::unpack();
    let input = users.path("page.flist");
    fs::write(&input, "<html>404</html>").unwrap();
    let output = users.path("out.flist");
    let error = rewrite_backend(
        &input,
        &output,
        &mirror(),
        &crate::flist::Limits::default(),
        users.scratch(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("an HTML page"), "{error}");
    assert!(!output.exists());
}
