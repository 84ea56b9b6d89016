//! How what is published over the network is taken.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::flist::Backend;
use crate::publishing::archive::ArchiveLimits;
use crate::store::{BlockStore, StoreError};

/// Opens the block store for writing. It is open for the moment of one write only, so that others have
/// their turn.
#[derive(Clone)]
#[allow(clippy::type_complexity, reason = "named nowhere else")]
pub struct OpenStore(pub Arc<dyn Fn() -> Result<Arc<dyn BlockStore>, StoreError> + Send + Sync>);

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenStore")
    }
}

/// How what is published over the network is taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishOptions {
    /// Opens the block store.
    pub open_store: OpenStore,
    /// Where nodes find the blocks, written into what is packed and merged. Default: nothing is written;
    /// nodes then look at the hub that they got the flist from.
    pub backend: Option<Backend>,
    /// Bytes of an uploaded file. Default: 2 GiB.
    pub upload_bytes: u64,
    /// From the beginning of an upload to its end. Default: 30 minutes.
    pub upload_timeout: Duration,
    /// How long an upload may say nothing. Default: 30 s.
    pub upload_silence: Duration,
    /// Uploads at the same time; one more is told to come back. Default: 4.
    pub uploads: usize,
    /// How long another writer is waited for. Default: 10 s.
    pub patience: Duration,
    /// What an uploaded archive may ask for.
    pub archive: ArchiveLimits,
}

impl PublishOptions {
    /// The defaults, with this way to open the store.
    #[must_use]
    pub fn new(open_store: OpenStore) -> Self {
        Self {
            open_store,
            backend: None,
            upload_bytes: 2 << 30,
            upload_timeout: Duration::from_secs(30 * 60),
            upload_silence: Duration::from_secs(30),
            uploads: 4,
            patience: Duration::from_secs(10),
            archive: ArchiveLimits::default(),
        }
    }
}
