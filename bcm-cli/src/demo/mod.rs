//! A small hub that is made up on the spot, for `bcm stack start --here --demo`.
//!
//! Real flists are packed from synthetic trees, laid out as a hub lays them out, and served by the
//! same servers that serve a mirror, on loopback. What mirrors it cannot tell it from an upstream
//! hub.

pub(crate) mod bootstrap;
mod hub;
mod trees;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcm_core::http::Url;
use bcm_core::progress::{NoProgress, Outcome, SharedProgress, Unit};
use bcm_hub_sync::flist::{self, Backend, PackOptions};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::zdb::ZdbAddress;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::hub::{EPOCH, HUB, Item, OFFICIAL};
use self::trees::set_time;
use crate::commands::serving::{Addresses, Serving};
use crate::diagnostics::Failure;
use crate::settings::serve::ServeSettings;

/// The file in a data folder that says that a demo made it.
const MARK: &str = "made-by-demo";

/// A made-up hub that is being served.
pub(crate) struct Origin {
    /// Its HTTP address.
    pub(crate) url: Url,
    /// Its 0-db.
    pub(crate) zdb: ZdbAddress,
    serving: Serving,
    cancel: CancellationToken,
    _folder: TempDir,
}

/// The hub could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DemoError {
    /// The disk refused.
    #[error("could not make {}", path.display())]
    Io {
        /// What was being made.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// An flist could not be packed.
    #[error("could not pack {}", path.display())]
    Pack {
        /// The flist.
        path: PathBuf,
        /// Why.
        source: Box<flist::PackError>,
    },
    /// The folder holds something else.
    #[error("{} holds something that no demo made", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// An address that was just bound is none.
    #[error("the made-up hub has no address to reach it by")]
    Address,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DemoError + '_ {
    move |source| DemoError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Takes `folder` for a demo: it is empty, is made, or was made by one before. A demo would delete
/// what a real mirror holds, for its own upstream does not have it.
///
/// # Errors
/// It holds something else, or the disk refused.
pub(crate) fn take(folder: &Path) -> Result<(), DemoError> {
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let mark = folder.join(MARK);
    if mark.exists() {
        return Ok(());
    }
    let empty = fs::read_dir(folder)
        .map_err(io_error(folder))?
        .next()
        .is_none();
    if !empty {
        return Err(DemoError::NotEmpty {
            path: folder.to_owned(),
        });
    }
    fs::write(&mark, "A demonstration of bcm made this folder.\n").map_err(io_error(&mark))
}

/// A folder that is removed when it is dropped.
///
/// # Errors
/// The disk refused.
pub(crate) fn temporary_folder(prefix: &str) -> Result<TempDir, DemoError> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(|source| DemoError::Io {
            path: std::env::temp_dir(),
            source,
        })
}

impl Origin {
    /// Makes the hub in a temporary folder and serves it on loopback, on ports that the system
    /// picks.
    ///
    /// # Errors
    /// The hub cannot be made or served.
    pub(crate) async fn start(
        progress: SharedProgress,
        interrupted: &CancellationToken,
    ) -> Result<Self, Failure> {
        let folder = temporary_folder("bcm-demo-hub.").map_err(Failure::new)?;
        let layout = Layout::new(folder.path());
        let made = {
            let (layout, interrupted) = (layout.clone(), interrupted.clone());
            tokio::task::spawn_blocking(move || make(&layout, &progress, &interrupted))
        };
        let store = match made.await {
            Ok(store) => store.map_err(Failure::new)?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let cancel = CancellationToken::new();
        let loopback = vec![(Ipv4Addr::LOCALHOST, 0).into()];
        let settings = ServeSettings {
            http: loopback.clone(),
            zdb: loopback,
            metrics: Vec::new(),
            backend: backend(),
            upstream: None,
            publishing: None,
        };
        let serving = Serving::start(&layout, store, None, settings, &cancel).await?;
        let no_address = || Failure::new(DemoError::Address);
        let url = serving.addresses.url().and_then(|url| url.parse().ok());
        let zdb = serving.addresses.zdb.first().and_then(|address| {
            ZdbAddress::new(address.ip().to_string(), address.port(), "default").ok()
        });
        Ok(Self {
            url: url.ok_or_else(no_address)?,
            zdb: zdb.ok_or_else(no_address)?,
            serving,
            cancel,
            _folder: folder,
        })
    }

    /// Where it is served.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.serving.addresses
    }

    /// Stops serving and removes what was made.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.serving.ended().await;
    }
}

/// What the flists name as their backend: a name that leads nowhere, so that nobody takes the demo
/// for a real hub.
fn backend() -> Backend {
    Backend {
        namespace: "default".to_owned(),
        host: "hub.demo.invalid".to_owned(),
        port: 9900,
        password: None,
    }
}

/// Lays out the tree, packs the flists and stores their blocks.
fn make(
    layout: &Layout,
    progress: &SharedProgress,
    interrupted: &CancellationToken,
) -> Result<Arc<dyn BlockStore>, DemoError> {
    // Fifteen megabytes that nobody needs again: no reason to wait for a disk.
    let store = Arc::new(MemoryStore::default());
    let flists = HUB
        .iter()
        .flat_map(|(_, items)| *items)
        .filter(|item| matches!(item, Item::Flist(..)))
        .count();
    let task = progress.started("packing a small hub", Unit::Items, Some(flists as u64));
    for (repository, items) in HUB {
        let folder = layout.users().join(repository);
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        for item in *items {
            match item {
                Item::Flist(name, tree) => {
                    let path = folder.join(name);
                    let source = layout.root().join("tree");
                    tree.write(&source).map_err(io_error(&source))?;
                    let bytes = pack(&source, &path, &*store, interrupted)?;
                    fs::remove_dir_all(&source).map_err(io_error(&source))?;
                    set_time(&path, tree.made).map_err(io_error(&path))?;
                    progress.advanced(task, 1, bytes);
                }
                Item::Link(name, target) => link(&folder.join(name), target)?,
                Item::Tag(name, links) => {
                    let tag = folder.join(format!(".tag-{name}"));
                    fs::create_dir_all(&tag).map_err(io_error(&tag))?;
                    for (name, target) in *links {
                        link(&tag.join(name), target)?;
                    }
                    set_time(&tag, EPOCH).map_err(io_error(&tag))?;
                }
            }
        }
        set_time(&folder, EPOCH).map_err(io_error(&folder))?;
    }
    let state = layout.state();
    let official = serde_json::json!({ "version": 1, "official": OFFICIAL });
    fs::write(&state, official.to_string()).map_err(io_error(&state))?;
    progress.finished(task, &Outcome::Done);
    Ok(store)
}

/// Packs the tree in `source` and gives back how many bytes its files have.
fn pack(
    source: &Path,
    path: &Path,
    store: &dyn BlockStore,
    interrupted: &CancellationToken,
) -> Result<u64, DemoError> {
    let options = PackOptions {
        backend: Some(backend()),
        timestamp: u32::try_from(EPOCH).unwrap_or(u32::MAX),
        ..PackOptions::default()
    };
    flist::pack(source, path, store, &options, &NoProgress, interrupted)
        .map(|report| report.tree.bytes)
        .map_err(|source| DemoError::Pack {
            path: path.to_owned(),
            source: Box::new(source),
        })
}

fn link(path: &Path, target: &str) -> Result<(), DemoError> {
    std::os::unix::fs::symlink(target, path)
        .and_then(|()| set_time(path, EPOCH))
        .map_err(io_error(path))
}
