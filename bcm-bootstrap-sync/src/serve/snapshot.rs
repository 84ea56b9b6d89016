//! What is in the folder, as it was at one moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bcm_core::file_identity::FileIdentity;
use bcm_core::serve::rendered::{JSON, Rendered};
use bcm_core::serve::{json, workers::Workers};
use serde::Serialize;

use crate::kernel::{KernelName, LINKS};
use crate::layout::Layout;
use crate::local::{self, Local, LocalError, LocalLink};
use crate::manifest::Manifest;
use crate::run_mode::RunMode;

/// The folder as it was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) local: Local,
    pub(super) manifest: Manifest,
    /// `/api/images`
    pub(super) images: Rendered,
    /// Why a list of this would not be the mirror's, if so.
    pub(super) unready: Option<&'static str>,
}

/// A file that a path leads to.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Below the folder of the kernels.
    pub(super) path: String,
    pub(super) identity: FileIdentity,
    /// The entity tag, with its quotes.
    pub(super) etag: String,
}

/// A kernel on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Image<'a> {
    pub(super) name: &'a KernelName,
    pub(super) timestamp: i64,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

impl Snapshot {
    fn take(layout: &Layout) -> Result<Self, LocalError> {
        let local = local::scan(layout)?;
        // Without it, kernels are served all the same.
        let manifest = Manifest::load(&layout.manifest()).map(|loaded| loaded.manifest);
        let mut snapshot = Self {
            local,
            manifest: manifest.unwrap_or_default(),
            images: Rendered::new(JSON, Vec::new(), false),
            unready: None,
        };
        snapshot.unready = snapshot.why_not(layout);
        let bytes = json::to_bytes(&snapshot.list()).unwrap_or_default();
        snapshot.images = Rendered::new(JSON, bytes, true);
        Ok(snapshot)
    }

    /// Kernels appear one by one, so the list of a first sync is not whole before its end, and a folder that
    /// is not there has none; whoever mirrors this mirror would take what is missing for deleted. What another
    /// program put there has no notes, and is there.
    fn why_not(&self, layout: &Layout) -> Option<&'static str> {
        let (held, noted) = (&self.local.kernels, &self.manifest.kernels);
        let fetches = || {
            let staged = std::fs::read_dir(layout.staging());
            staged.is_ok_and(|mut staged| staged.next().is_some())
        };
        match self.manifest.last_attempt {
            Some(_) if held.is_empty() && !noted.is_empty() => Some("the kernels are not there"),
            Some(_) => None,
            None if held.is_empty() => Some("no kernel has been mirrored yet"),
            None if noted.is_empty() && !fetches() => None,
            None => Some("the first sync has not ended yet"),
        }
    }

    /// The kernels that upstream lists too, the newest first.
    pub(super) fn list(&self) -> Vec<Image<'_>> {
        let kernels = self.local.kernels.iter().filter(|(name, _)| {
            let known = self.manifest.kernels.get(*name);
            known.is_none_or(|kernel| kernel.listed)
        });
        let mut images: Vec<_> = kernels
            .map(|(name, identity)| Image {
                name,
                timestamp: identity.modified.seconds,
                size: identity.size,
                sha256: self.sha256(name, identity),
            })
            .collect();
        images.sort_by(|a, b| b.timestamp.cmp(&a.timestamp).then(a.name.cmp(b.name)));
        images
    }

    /// The content of a kernel, if the file is the one that was published.
    fn sha256(&self, name: &KernelName, identity: &FileIdentity) -> Option<String> {
        let kernel = self.manifest.kernels.get(name)?;
        let same = (kernel.size, kernel.timestamp) == (identity.size, identity.modified.seconds);
        same.then(|| kernel.sha256.to_string())
    }

    pub(super) fn kernel(&self, name: &KernelName) -> Option<Found> {
        let (name, identity) = self.local.resolve(name)?;
        // The content's hash, so that copies on other mirrors have the same tag and a download that
        // was cut off here can be resumed there.
        let hash = self.sha256(name, &identity);
        Some(Found {
            path: name.to_string(),
            identity,
            etag: hash.map_or_else(|| tag(&identity), |hash| format!("\"{hash}\"")),
        })
    }

    /// The kernel of a run mode.
    pub(super) fn mode(&self, mode: &RunMode) -> Option<Found> {
        match self.local.links.get(mode)? {
            LocalLink::Kernel(name) => self.kernel(name),
            LocalLink::File(identity) => Some(Found {
                path: format!("{LINKS}/{}", mode.link()),
                identity: *identity,
                etag: tag(identity),
            }),
        }
    }
}

/// A tag for a file whose content nobody noted.
fn tag(identity: &FileIdentity) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        identity.inode, identity.size, identity.changed.seconds, identity.changed.nanoseconds
    )
}

/// Keeps a snapshot that is at most `interval` old.
#[derive(Debug)]
pub(super) struct Watch {
    layout: Layout,
    interval: Duration,
    looking: tokio::sync::Mutex<()>,
    current: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl Watch {
    pub(super) fn new(layout: Layout, interval: Duration) -> Self {
        Self {
            layout,
            interval,
            looking: tokio::sync::Mutex::default(),
            current: Mutex::default(),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, snapshot) = current.as_ref()?;
        (taken.elapsed() < self.interval).then(|| Arc::clone(snapshot))
    }

    /// The snapshot to answer from. Many who ask at the same time wait for one look.
    pub(super) async fn snapshot(&self, workers: &Workers) -> Result<Arc<Snapshot>, String> {
        if let Some(snapshot) = self.fresh() {
            return Ok(snapshot);
        }
        let _looking = self.looking.lock().await;
        match self.fresh() {
            Some(snapshot) => Ok(snapshot),
            None => self.look(workers).await,
        }
    }

    /// Looks now.
    pub(super) async fn look(&self, workers: &Workers) -> Result<Arc<Snapshot>, String> {
        let layout = self.layout.clone();
        let begun = Instant::now();
        let taken = workers.run(move || Snapshot::take(&layout)).await;
        let snapshot = match taken {
            Ok(Ok(snapshot)) => Arc::new(snapshot),
            Ok(Err(error)) => {
                tracing::error!(error = bcm_core::cause::chain(&error), "not readable");
                return Err("the folder of the kernels cannot be read".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((begun, Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}
