//! A folder to run `bcm` in, and its output as one text to compare.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// An empty folder that is the current one, the home, and where the data goes.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every file, folder and link below `name`: its path, its time, and its content.
    pub(crate) fn tree(&self, name: &str) -> Vec<(PathBuf, i64, Vec<u8>)> {
        fn walk(root: &Path, path: &Path, found: &mut Vec<(PathBuf, i64, Vec<u8>)>) {
            let metadata = std::fs::symlink_metadata(path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_dir() => Vec::new(),
                kind if kind.is_symlink() => std::fs::read_link(path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
                _ => std::fs::read(path).unwrap(),
            };
            let name = path.strip_prefix(root).unwrap().to_owned();
            if !name.as_os_str().is_empty() {
                found.push((
                    name,
                    std::os::unix::fs::MetadataExt::mtime(&metadata),
                    content,
                ));
            }
            if metadata.is_dir() {
                for entry in std::fs::read_dir(path).unwrap() {
                    walk(root, &entry.unwrap().path(), found);
                }
            }
        }
        let root = self.path(name);
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.sort();
        found
    }

    /// The command with `arguments` (cut at spaces), without an environment of its own.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::cargo_bin("bcm").unwrap();
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("BCM_DATA", self.path("data"))
            .current_dir(self.folder.path())
            .timeout(std::time::Duration::from_secs(60));
        command
    }

    /// Runs it and gives exit code, stdout and stderr as one text, in which the folder is `[dir]`.
    pub(crate) fn run(&self, arguments: &str) -> String {
        self.shown(&self.command(arguments).output().unwrap())
    }

    /// An output as [`Sandbox::run`] gives it.
    pub(crate) fn shown(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let real = std::fs::canonicalize(self.folder.path()).unwrap();
            let replace = |text: String, path: &Path| text.replace(path.to_str().unwrap(), "[dir]");
            replace(replace(text, &real), self.folder.path())
                .replace(env!("CARGO_PKG_VERSION"), "[version]")
        };
        format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr)
        )
    }
}
