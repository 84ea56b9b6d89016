//! A mirror in a temporary folder, driven through the `bcm` program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::bcm::{self, Finished, Running};
use crate::origin::Origin;
use crate::tree::Tree;
use crate::wire::Resp;

/// A data folder, beside which there is something that nobody may touch.
pub struct Mirror {
    folder: TempDir,
    outside: Tree,
}

impl Default for Mirror {
    fn default() -> Self {
        Self::new()
    }
}

impl Mirror {
    /// A mirror that holds nothing yet.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let sentinel = folder.path().join("sentinel");
        std::fs::create_dir(&sentinel).expect("a folder");
        std::fs::write(sentinel.join("file.flist"), "not yours").expect("a file");
        let outside = Tree::of_folder(&sentinel);
        Self { folder, outside }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The published tree.
    pub fn users(&self) -> Tree {
        Tree::of_folder(&self.data().join("hub/users"))
    }

    /// The arguments of a sync from `origin`.
    pub fn sync_arguments(&self, origin: &Origin, more: &[&str]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["hub", "sync", "--output", "json", "--data"]
            .map(OsString::from)
            .into();
        arguments.push(self.data().into());
        for argument in [
            "--upstream",
            &origin.url(),
            "--upstream-zdb",
            &origin.zdb_url(),
        ] {
            arguments.push(argument.into());
        }
        arguments.extend(more.iter().map(OsString::from));
        arguments
    }

    /// Syncs from `origin` with `more` arguments.
    pub fn sync(&self, origin: &Origin, more: &[&str]) -> Finished {
        bcm::run(self.sync_arguments(origin, more))
    }

    /// Starts a sync and lets it run.
    pub fn start_sync(&self, origin: &Origin, more: &[&str]) -> Running {
        Running::start(bcm::command(self.sync_arguments(origin, more)))
    }

    /// Runs `bcm hub verify`.
    pub fn verify(&self) -> Finished {
        let arguments = ["hub", "verify", "--output", "json", "--data"].map(OsString::from);
        bcm::run(arguments.into_iter().chain([self.data().into()]))
    }

    /// Serves the data folder by a process of its own.
    pub fn serve(&self) -> Served {
        Served::start(&self.data())
    }

    /// Fails if anything beside the data folder was made or changed.
    #[track_caller]
    pub fn assert_nothing_outside(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| name != "data")
            .collect();
        names.sort();
        assert_eq!(names, ["sentinel"]);
        let sentinel = Tree::of_folder(&self.folder.path().join("sentinel"));
        self.outside
            .assert_same(&sentinel, "beside the data folder");
    }
}

/// A running `bcm hub serve`.
pub struct Served {
    /// Where its HTTP server listens.
    pub http: SocketAddr,
    /// Where its 0-db listens.
    pub zdb: SocketAddr,
    /// The process.
    pub process: Running,
}

impl Served {
    /// Serves `data` on ports that the system picks.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// As [`Served::start`], with `more` arguments.
    pub fn start_with(data: &Path, more: &[&str]) -> Self {
        let mut command = bcm::command(["hub", "serve", "--http", "127.0.0.1:0"]);
        command.args(["--zdb", "127.0.0.1:0", "--data"]).arg(data);
        command.args(more);
        let mut process = Running::start(command);
        let http = process.wait_for("its HTTP address", |said| address(said, "http://"));
        let zdb = process.wait_for("its 0-db address", |said| address(said, "zdb://"));
        Self { http, zdb, process }
    }
}

/// The socket address in the first URL of `scheme` in `said`.
fn address(said: &str, scheme: &str) -> Option<SocketAddr> {
    said.match_indices(scheme).find_map(|(at, _)| {
        let rest = &said[at + scheme.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)))?;
        rest[..end].parse().ok()
    })
}

/// Every block that a 0-db lists, by key (hex): its size, time and payload's hash.
pub fn blocks_of(zdb: SocketAddr) -> BTreeMap<String, (Vec<u8>, Vec<u8>)> {
    let mut connection = Resp::connect(zdb);
    let mut blocks = BTreeMap::new();
    for key in crate::wire::scan(&mut connection) {
        let payload = connection.block(&key).expect("a listed block is there");
        let time = connection.command(&[b"KEYTIME", &key]);
        blocks.insert(crate::fixtures::hex(&key), (time, payload));
    }
    blocks
}
