//! The MD5 of each flist, computed once for each content and remembered.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bcm_core::digest::Md5;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::snapshot::{Found, Snapshot};
use super::watch::Watch;
use super::workers::Workers;
use crate::catalog::FlistRef;
use crate::catalog::local::{FileIdentity, open_flist};

/// Checksums by the identity of the file.
#[derive(Debug)]
pub(super) struct Checksums {
    users: PathBuf,
    /// For requests, and for warming up: the second never holds up the first.
    workers: [Workers; 2],
    memo: Mutex<HashMap<FileIdentity, Arc<OnceCell<Md5>>>>,
}

impl Checksums {
    /// Checksums of the flists in the tree `users`.
    pub(super) fn new(users: PathBuf) -> Self {
        Self {
            users,
            workers: [Workers::new(4), Workers::new(1)],
            memo: Mutex::default(),
        }
    }

    /// The MD5 of an flist; many who ask at the same time wait for one computation.
    pub(super) async fn of(&self, found: &Found<'_>) -> Result<Md5, Failure> {
        let [requests, _] = &self.workers;
        self.compute(&found.reference, found.identity, requests)
            .await
    }

    async fn compute(
        &self,
        reference: &FlistRef,
        identity: FileIdentity,
        workers: &Workers,
    ) -> Result<Md5, Failure> {
        let cell = {
            let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(memo.entry(identity).or_default())
        };
        cell.get_or_try_init(|| async {
            let users = self.users.clone();
            let reference = reference.clone();
            workers
                .run(move || hash(&users, &reference, identity))
                .await?
        })
        .await
        .copied()
    }

    /// Computes what is missing after every change of the tree, until cancelled.
    pub(super) async fn keep_warm(self: Arc<Self>, watch: Arc<Watch>, cancel: CancellationToken) {
        let warm = async {
            loop {
                if let Some(snapshot) = watch.load() {
                    self.forget_all_but(&snapshot);
                    self.warm(&watch, &snapshot).await;
                }
                watch.changed().await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = warm => {}
        }
    }

    async fn warm(&self, watch: &Watch, snapshot: &Arc<Snapshot>) {
        let [_, background] = &self.workers;
        for (reference, identity) in snapshot.files() {
            if let Err(failure) = self.compute(reference, *identity, background).await {
                tracing::debug!(%reference, %failure, "no checksum yet");
            }
            if !watch.load().is_some_and(|now| Arc::ptr_eq(&now, snapshot)) {
                return;
            }
        }
    }

    fn forget_all_but(&self, snapshot: &Snapshot) {
        let known: HashSet<&FileIdentity> =
            snapshot.files().map(|(_, identity)| identity).collect();
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        memo.retain(|identity, _| known.contains(identity));
    }
}

/// Hashes the file if it is the one that was expected, before and after. Blocks.
fn hash(users: &Path, reference: &FlistRef, expected: FileIdentity) -> Result<Md5, Failure> {
    let (file, identity) = open_flist(users, &reference.repository, &reference.name)
        .map_err(|error| Failure::opening(reference, error))?;
    if identity != expected {
        return Err(Failure::Changed);
    }
    let md5 = Md5::of_reader(&file).map_err(|error| Failure::reading(reference, error))?;
    let identity =
        FileIdentity::of_file(&file).map_err(|error| Failure::reading(reference, error))?;
    if identity != expected {
        return Err(Failure::Changed);
    }
    Ok(md5)
}
