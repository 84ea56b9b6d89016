//! The sync as a library calls it, with a store in memory, against the fake upstream.

mod changes;
mod estimate;
mod follow;
mod hostile;
mod hostile_table;
mod namespace;
mod plain;
mod repair;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bcm_core::progress;
use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::sync::{Plan, SyncConfig, SyncError, SyncOutcome, SyncReport, plan, sync};
use bcm_tests::fixtures;
use bcm_tests::origin::{Origin, Users};
use bcm_tests::tree::Tree;
use tokio_util::sync::CancellationToken;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(work)
}

/// A mirror of a fake upstream.
struct Mirror {
    origin: Origin,
    folder: tempfile::TempDir,
    layout: Layout,
    store: Arc<MemoryStore>,
    config: SyncConfig,
}

/// A configuration that is quick to try again, and patient.
fn config(origins: &[&Origin]) -> SyncConfig {
    let hubs = origins.iter().map(|origin| origin.url());
    let mut config = SyncConfig::new(hubs.map(|url| url.parse().expect("a URL")).collect());
    let zdbs = origins.iter().map(|origin| origin.zdb_url());
    config.upstream_zdb = zdbs.map(|url| url.parse().expect("an address")).collect();
    config.retry = RetryPolicy {
        attempts: 2,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(2),
    };
    config.fetch.retry = config.retry.clone();
    config.delete_after = Some(Duration::ZERO);
    config.max_delete = 0.5;
    config
}

impl Mirror {
    fn new() -> Self {
        let origin = Origin::recorded();
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            layout: Layout::new(folder.path().join("data")),
            config: config(&[&origin]),
            store: Arc::new(MemoryStore::default()),
            origin,
            folder,
        }
    }

    /// Does not wait long for an upstream that says nothing. What does answer has to do so within
    /// this time, too.
    fn impatient(mut self) -> Self {
        self.config.http.connect = Duration::from_millis(500);
        self.config.http.first_byte = Duration::from_millis(500);
        self.config.http.idle = Duration::from_secs(1);
        self
    }

    /// A mirror of an upstream that is edited; it is already in sync.
    fn synced() -> Self {
        let mirror = Self::new();
        mirror.origin.edit(|_| ());
        mirror.complete();
        mirror.origin.forget_counts();
        mirror
    }

    fn try_sync(&self) -> Result<SyncReport, SyncError> {
        let store: Arc<dyn BlockStore> = self.store.clone();
        let cancel = CancellationToken::new();
        run(sync(
            &self.layout,
            &self.config,
            store,
            progress::none(),
            cancel,
        ))
    }

    fn sync(&self) -> SyncReport {
        self.try_sync().expect("a report")
    }

    /// A sync that must be complete, and after which nothing is left to do.
    fn complete(&self) -> SyncReport {
        let report = self.sync();
        assert_eq!(report.outcome, SyncOutcome::Complete, "{report:#?}");
        assert!(self.plan().nothing_to_do, "{:#?}", self.plan());
        report
    }

    /// A sync that must be partial.
    fn partial(&self) -> SyncReport {
        let report = self.sync();
        assert_eq!(report.outcome, SyncOutcome::Partial, "{report:#?}");
        report
    }

    fn plan(&self) -> Plan {
        let store: Arc<dyn BlockStore> = self.store.clone();
        let cancel = CancellationToken::new();
        run(plan(
            &self.layout,
            &self.config,
            store,
            progress::none(),
            cancel,
        ))
        .expect("a plan")
    }

    fn tree(&self) -> Tree {
        Tree::of_folder(&self.layout.users())
    }

    /// The upstream's tree as it is now.
    fn upstream(&self) -> Tree {
        let folder = tempfile::tempdir().expect("a folder");
        self.origin.edit(|users| users.write_to(folder.path()));
        Tree::of_folder(folder.path())
    }

    #[track_caller]
    fn assert_equal(&self) {
        self.upstream().assert_same(&self.tree(), "the mirror");
    }

    /// Everything on disk but the state and the reports, which every sync writes.
    fn disk(&self) -> Tree {
        let mut tree = Tree::of_folder(self.folder.path());
        tree.0.remove("data/hub/state.json");
        tree.0
            .retain(|path, _| !path.starts_with("data/hub/reports"));
        // The folder in which the state is replaced.
        tree.0.remove("data/hub");
        // Every sync locks the one and cleans the other; their times differ when a second is over.
        for path in ["data/lock", "data/hub/staging"] {
            if let Some(node) = tree.0.get_mut(path) {
                node.mtime = 0;
            }
        }
        tree
    }

    fn holds(&self, key: &str) -> bool {
        let key: BlockKey = key.parse().expect("a key");
        self.store.contains(&[key]).expect("the store")[0]
    }
}

fn recorded_tree() -> Tree {
    Tree::of_tar(&fixtures::users_tar(), "users")
}

/// The reason that is given for `subject` in a list of refused or deferred entries.
#[track_caller]
fn reason<'a>(list: &'a [bcm_hub_sync::sync::Refused], subject: &str) -> &'a str {
    let found = list.iter().find(|refused| refused.subject == subject);
    match found {
        Some(refused) => &refused.reason,
        None => panic!("{subject} is not in {list:#?}"),
    }
}

/// The content of a recorded flist.
fn content(users: &mut Users, repository: &str, name: &str) -> bytes::Bytes {
    users.repository(repository).content(name)
}
