mod archives;
mod content;
mod crash;
mod names;

use std::fs;

use bcm_core::progress::NoProgress;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalog::{Item, TagRef};
use crate::flist::{Limits, PackOptions};
use crate::layout::Layout;
use crate::mode;
use crate::store::memory::MemoryStore;

/// An empty hub that stands alone, with a folder beside it.
pub(super) struct Hub {
    pub(super) folder: tempfile::TempDir,
    pub(super) layout: Layout,
    pub(super) store: std::sync::Arc<MemoryStore>,
}

pub(super) fn place(text: &str) -> FlistRef {
    text.to_owned().try_into().unwrap()
}

pub(super) fn tag(text: &str) -> TagRef {
    text.to_owned().try_into().unwrap()
}

pub(super) fn item(text: &str) -> Item {
    text.to_owned().try_into().unwrap()
}

impl Hub {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"));
        assert!(mode::standalone(&layout, false).unwrap());
        Self {
            folder,
            layout,
            store: std::sync::Arc::default(),
        }
    }

    pub(super) fn session(&self) -> Session {
        Session::open(&self.layout, Limits::default(), false).unwrap()
    }

    /// A folder with one file of this content, and one in a folder.
    pub(super) fn tree(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.join("etc")).unwrap();
        fs::write(path.join("etc/motd"), content).unwrap();
        fs::write(path.join("same"), "the same everywhere").unwrap();
        path
    }

    pub(super) fn publish(
        &self,
        to: &str,
        content: Content<'_>,
        replace: bool,
    ) -> Result<Published, PublishingError> {
        self.session().publish(
            &place(to),
            content,
            &*self.store,
            &settings(replace),
            &NoProgress,
            &CancellationToken::new(),
        )
    }

    /// Publishes a small tree.
    pub(super) fn put(&self, to: &str) -> Published {
        let tree = self.tree(&to.replace('/', "-"), to);
        self.publish(to, Content::Folder(&tree), true).unwrap()
    }

    /// Every name that is published, and where links lead.
    pub(super) fn names(&self) -> Vec<String> {
        let scan = crate::catalog::local::scan(&self.layout).unwrap();
        assert_eq!(scan.odd, []);
        let published = crate::catalog::Published::of(&scan.catalog);
        let links = published
            .iter()
            .map(|(item, named)| format!("{item}: {named}"));
        let flists = scan.files.keys().map(|place| format!("{place}: an flist"));
        let mut all: Vec<String> = links.chain(flists).collect();
        all.sort();
        all
    }

    /// What is remembered is what is there.
    pub(super) fn assert_sound(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let report = runtime.block_on(crate::verify::verify(
            &self.layout,
            self.store.clone(),
            &crate::verify::VerifyOptions::default(),
            bcm_core::progress::none(),
            CancellationToken::new(),
        ));
        let report = report.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert!(!self.layout.publish_journal().exists());
    }
}

pub(super) fn settings(replace: bool) -> PublishSettings {
    PublishSettings {
        replace,
        pack: PackOptions {
            timestamp: 1,
            ..PackOptions::default()
        },
    }
}
