//! The Bootstrap mirror's library against a fake upstream.

mod changes;
mod estimate;
mod follow;
mod hostile;
mod kept;
mod kill_points;
mod plain;
mod serve;

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::manifest::Manifest;
use bcm_bootstrap_sync::policy::Policy;
use bcm_bootstrap_sync::report::SyncReport;
use bcm_bootstrap_sync::sync::{SyncConfig, SyncError, sync};
use bcm_core::retry::RetryPolicy;
use bcm_tests::bootstrap::Bootstrap;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// A data folder and what its syncs are told.
struct Mirror {
    folder: TempDir,
    layout: Layout,
    config: SyncConfig,
}

impl Mirror {
    fn of(origins: &[&Bootstrap]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstreams = origins.iter().map(|o| o.url().parse().unwrap()).collect();
        let mut config = SyncConfig::new(upstreams);
        config.retry = RetryPolicy {
            attempts: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        };
        // Longer than a busy machine takes.
        config.http.idle = Duration::from_secs(100);
        config.http.first_byte = Duration::from_secs(100);
        Self {
            layout: Layout::new(folder.path().join("data")),
            folder,
            config,
        }
    }

    fn try_sync(&self) -> Result<SyncReport, SyncError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let progress = bcm_core::progress::none();
        runtime.block_on(sync(
            &self.layout,
            &self.config,
            progress,
            CancellationToken::new(),
        ))
    }

    #[track_caller]
    fn sync(&self) -> SyncReport {
        self.try_sync().unwrap()
    }

    fn kernel(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.layout.kernels().join(name)).ok()
    }

    /// What a run mode's link says.
    fn link(&self, mode: &str) -> Option<String> {
        let path = self.layout.links().join(format!("{mode}.efi"));
        Some(fs::read_link(path).ok()?.to_str()?.to_owned())
    }

    fn manifest(&self) -> Manifest {
        Manifest::load(&self.layout.manifest()).unwrap().manifest
    }

    /// The names that are here.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.layout.kernels())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "net")
            .collect();
        names.sort();
        names
    }

    /// Nothing is half done, and nothing was written outside.
    #[track_caller]
    fn assert_tidy(&self) {
        assert_eq!(fs::read_dir(self.layout.staging()).unwrap().count(), 0);
        let outside: Vec<_> = fs::read_dir(self.folder.path()).unwrap().collect();
        assert_eq!(outside.len(), 1, "{outside:?}");
    }
}

fn everything() -> Policy {
    Policy {
        since: None,
        ..Policy::default()
    }
}
