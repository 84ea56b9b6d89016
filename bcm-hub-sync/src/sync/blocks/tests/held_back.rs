//! A store that is slow or full, and a fetch that is cancelled.

use super::*;

/// Long after everything has happened that a test waits for, on a busy machine too.
const SOON: Duration = Duration::from_secs(60);

/// A store that counts, waits, and can be full.
#[derive(Default)]
struct Watched {
    inner: MemoryStore,
    room: Option<u64>,
    /// What is put after the first blocks waits for this.
    hold: Option<CancellationToken>,
    put_bytes: AtomicU64,
    flushed: AtomicBool,
    /// The store that a source's blocks go to.
    to: Option<Arc<Watched>>,
    got_bytes: AtomicU64,
    /// The most bytes that were given out and not yet put there.
    most: AtomicU64,
}

impl BlockStore for Watched {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let found = self.inner.get(key)?;
        let bytes = found.as_ref().map_or(0, |(_, payload)| payload.len());
        let got = self.got_bytes.fetch_add(bytes as u64, Ordering::SeqCst) + bytes as u64;
        if let Some(to) = &self.to {
            // In this order, for the other number may grow meanwhile.
            let put = to.put_bytes.load(Ordering::SeqCst);
            self.most
                .fetch_max(got.saturating_sub(put), Ordering::SeqCst);
        }
        Ok(found)
    }
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.inner.info(key)
    }
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        self.inner.contains(keys)
    }
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        if let Some(hold) = &self.hold
            && self.put_bytes.load(Ordering::SeqCst) > 0
        {
            while !hold.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if self
            .room
            .is_some_and(|room| self.inner.stats().unwrap().blocks >= room)
        {
            return Err(StoreError::Io {
                operation: "write",
                path: "blocks/1".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        self.flushed.store(false, Ordering::Relaxed);
        let bytes: usize = blocks.iter().map(|block| block.payload().len()).sum();
        let added = self.inner.put(blocks)?;
        self.put_bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        Ok(added)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.flushed.store(true, Ordering::Relaxed);
        self.inner.flush()
    }
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        self.inner.remove(keys)
    }
    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        self.inner.scan(after, direction, limit)
    }
    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats()
    }
    fn generation(&self) -> Result<u64, StoreError> {
        self.inner.generation()
    }
}

#[tokio::test]
async fn a_full_disk_stops_at_once_and_keeps_what_is_there() {
    let all = blocks(0..3000);
    let (address, _) = source(&all, Fault::None).await;
    let store = Arc::new(Watched {
        room: Some(500),
        ..Watched::default()
    });
    let (sender, receiver) = mpsc::channel(100);
    sender.send(keys(&all)).await.unwrap();
    // The sender stays open: without an end at once this would not end.
    let options = options(vec![address]);
    let fetching = fetch_blocks(
        &options,
        receiver,
        store.clone(),
        bcm_core::progress::none(),
        CancellationToken::new(),
    );
    let error = tokio::time::timeout(SOON, fetching)
        .await
        .expect("it ends")
        .unwrap_err();
    let FetchError::Store { source, report } = &error else {
        panic!("{error}");
    };
    assert!(source.is_full());
    assert_eq!(report.fetched, store.stats().unwrap().blocks);
    assert!(report.fetched >= 500 && report.fetched < 3000);
    assert!(store.flushed.load(Ordering::Relaxed));
    assert!(sender.is_closed());
}

#[tokio::test]
async fn cancelling_ends_soon_and_flushes() {
    let all = blocks(0..3000);
    let (address, _) = source(&all, Fault::None).await;
    let cancel = CancellationToken::new();
    let store = Arc::new(Watched {
        hold: Some(cancel.clone()),
        ..Watched::default()
    });
    // The sender stays open: without cancelling this would not end.
    let (sender, receiver) = mpsc::channel(100);
    sender.send(keys(&all)).await.unwrap();
    let fetching = tokio::spawn({
        let (store, cancel) = (store.clone(), cancel.clone());
        async move {
            let progress = bcm_core::progress::none();
            let options = FetchOptions {
                flush_every: u64::MAX,
                ..options(vec![address])
            };
            fetch_blocks(&options, receiver, store, progress, cancel).await
        }
    });
    let has_begun = async {
        while store.stats().unwrap().blocks == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, has_begun).await.unwrap();
    cancel.cancel();
    let error = tokio::time::timeout(SOON, fetching)
        .await
        .expect("it ends soon")
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, FetchError::Cancelled { .. }), "{error}");
    let fetched = error.report().unwrap().fetched;
    assert_eq!(fetched, store.stats().unwrap().blocks);
    assert!(store.flushed.load(Ordering::Relaxed));
}

/// A source that is much faster than the store is held back, whatever the blocks' size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_by_the_slowest() {
    let full = CancellationToken::new();
    let store = Arc::new(Watched {
        hold: Some(full.clone()),
        ..Watched::default()
    });
    let origin = Arc::new(Watched {
        to: Some(store.clone()),
        ..Watched::default()
    });
    let mut keys = Vec::new();
    for number in 0..300_u32 {
        let mut payload = vec![0; 600_000];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        let block = VerifiedBlock::new(payload.into(), 0).unwrap();
        keys.push(*block.key());
        origin.inner.put(&[block]).unwrap();
    }
    let address = real_server(origin.clone()).await;
    let options = FetchOptions {
        connections: 2,
        memory: 0,
        // Nobody gives up on a source that waits.
        client: ClientOptions {
            idle: SOON * 100,
            ..ClientOptions::default()
        },
        ..options(vec![address])
    };
    let fetching = tokio::spawn({
        let store = store.clone();
        let (sender, receiver) = mpsc::channel(1);
        sender.send(keys).await.unwrap();
        drop(sender);
        async move {
            let progress = bcm_core::progress::none();
            fetch_blocks(
                &options,
                receiver,
                store,
                progress,
                CancellationToken::new(),
            )
            .await
        }
    });
    // The store takes nothing more until the source has given what it is let give: at least what
    // memory is for, and then nothing for a while.
    let mut before = 0;
    let is_held_back = async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let most = origin.most.load(Ordering::SeqCst);
            if most > 8 << 20 && most == before {
                break;
            }
            before = most;
        }
    };
    tokio::time::timeout(SOON, is_held_back).await.unwrap();
    full.cancel();
    let report = fetching.await.unwrap().unwrap();
    assert_eq!((report.fetched, report.missing), (300, 0));
    // 16 MiB, and what sockets and the server hold for two connections, of 180 MB in all.
    let most = origin.most.load(Ordering::SeqCst);
    assert!(most < 64 << 20, "{most} bytes were under way");
}
