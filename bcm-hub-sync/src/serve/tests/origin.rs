//! A server over a copy of the recorded tree.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{self, Answer};
use crate::flist::Backend;
use crate::layout::Layout;
use crate::serve::{HubServer, Refresher, ServeOptions};

/// Data recorded from an upstream hub.
pub(super) fn recorded(path: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/origin-small"
    ))
    .join(path)
}

/// A running server; the data folder goes with it.
pub(super) struct Served {
    pub(super) folder: TempDir,
    pub(super) layout: Layout,
    pub(super) address: SocketAddr,
    pub(super) refresher: Refresher,
    pub(super) cancel: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

/// Unpacks the recorded tree, times of links included.
pub(super) fn unpack_recorded(layout: &Layout) {
    fs::create_dir_all(layout.hub()).unwrap();
    let mut archive = tar::Archive::new(fs::File::open(recorded("users.tar")).unwrap());
    let mut times = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = layout.hub().join(entry.path().unwrap());
        entry.unpack(&path).unwrap();
        times.push((path, entry.header().mtime().unwrap()));
    }
    for (path, seconds) in times {
        set_time(&path, i64::try_from(seconds).unwrap());
    }
}

/// Sets the time of modification of `path` itself.
pub(super) fn set_time(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// The backend that the recorded hub was run with.
pub(super) fn backend() -> Backend {
    Backend {
        namespace: "default".to_owned(),
        host: "hub.example.test".to_owned(),
        port: 9900,
        password: None,
    }
}

impl Served {
    /// Serves the recorded tree.
    pub(super) async fn recorded() -> Self {
        Self::start(unpack_recorded, |_| {}).await
    }

    /// Serves what `fill` makes, with options that `change` changes.
    pub(super) async fn start(
        fill: impl FnOnce(&Layout),
        change: impl FnOnce(&mut ServeOptions),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fill(&layout);
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let mut options = ServeOptions::new(layout.clone(), listen, backend());
        // Every request looks for changes, so that no test has to wait for the next look.
        options.refresh = Duration::ZERO;
        change(&mut options);
        let server = HubServer::bind(options).await.unwrap();
        let address = server.local_addrs()[0];
        let refresher = server.refresher();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(server.run(cancel.clone()));
        Self {
            folder,
            layout,
            address,
            refresher,
            cancel,
            task,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        client::ask(self.address, method, path, headers).await
    }

    /// Where the flist is in the tree.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.layout.users().join(path)
    }
}
