//! Files, on this machine and over SSH: the same tests.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use bcm_ssh::{FileError, Local, ReadFile, Remote, Upload};

use crate::{Outcome, Test, block_on, sshd::Sshd};

macro_rules! both {
    ($($test:ident),* $(,)?) => {
        pub(crate) const LOCAL: &[Test] = &[
            $((stringify!($test), || block_on($test(&Local::new())))),*
        ];
        pub(crate) const OVER_SSH: &[Test] = &[
            $((stringify!($test), || block_on(async {
                let sshd = Sshd::start();
                $test(&sshd.connect().await).await
            }))),*
        ];
    };
}

both!(
    written_and_read_back,
    replaced_at_once,
    what_cannot_be_written,
    what_cannot_be_read
);

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn written_and_read_back(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let bytes: Vec<u8> = (0..500_000u32).map(|n| (n % 256) as u8).collect();
    for (name, contents, mode) in [
        ("plain", bytes.as_slice(), 0o644),
        ("-odd name's", b"", 0o600),
        ("program", b"#!/bin/sh\n", 0o4755),
    ] {
        let path = folder.path().join(name);
        host.upload(Upload::new(&path, contents, mode)).await?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o7777, mode);
        assert!(fs::read(&path)? == contents);
        assert!(host.read_file(ReadFile::new(&path, contents.len())).await? == contents);
    }
    assert_eq!(names(folder.path()), ["-odd name's", "plain", "program"]);
    Ok(())
}

async fn replaced_at_once(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file");
    fs::write(&path, "old")?;
    let mut old = fs::File::open(&path)?;
    host.upload(Upload::new(&path, *b"new", 0o600)).await?;
    assert_eq!(fs::read(&path)?, b"new");
    // Whoever had it open still reads the old one: it was replaced, not written into.
    let mut text = String::new();
    std::io::Read::read_to_string(&mut old, &mut text)?;
    assert_eq!(text, "old");
    // A link is replaced, and what it pointed to left alone.
    let target = folder.path().join("target");
    fs::write(&target, "target")?;
    let link = folder.path().join("link");
    symlink(&target, &link)?;
    host.upload(Upload::new(&link, *b"new", 0o600)).await?;
    assert_eq!(fs::read(&target)?, b"target");
    assert!(!fs::symlink_metadata(&link)?.is_symlink());
    Ok(())
}

async fn what_cannot_be_written(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let is_folder = folder.path().join("folder");
    fs::create_dir(&is_folder)?;
    for path in [&folder.path().join("no/such/folder/file"), &is_folder] {
        let error = host
            .upload(Upload::new(path, *b"x", 0o600))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                FileError::Run {
                    operation: "write",
                    ..
                }
            ),
            "{error:?}"
        );
    }
    let error = host
        .upload(Upload::new("relative", *b"x", 0o600))
        .await
        .unwrap_err();
    assert!(matches!(error, FileError::Path { .. }), "{error:?}");
    // Nothing half-written is left.
    assert_eq!(names(folder.path()), ["folder"]);
    assert!(names(&is_folder).is_empty());
    Ok(())
}

async fn what_cannot_be_read(host: &dyn Remote) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file");
    let error = host.read_file(ReadFile::new(&path, 10)).await.unwrap_err();
    assert!(matches!(error, FileError::NotFound { .. }), "{error:?}");
    fs::write(&path, "12345678901")?;
    let error = host.read_file(ReadFile::new(&path, 10)).await.unwrap_err();
    assert!(
        matches!(error, FileError::TooLarge { limit: 10, .. }),
        "{error:?}"
    );
    let error = host
        .read_file(ReadFile::new(folder.path(), 10))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            FileError::Run {
                operation: "read",
                ..
            }
        ),
        "{error:?}"
    );
    Ok(())
}
