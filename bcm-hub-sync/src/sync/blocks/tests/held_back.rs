//! A store that is slow or full, and a fetch that is cancelled.

use super::*;

/// A store that counts, waits, and can be full.
#[derive(Default)]
struct Watched {
    inner: MemoryStore,
    room: Option<u64>,
    delay: Duration,
    put_bytes: AtomicU64,
    got_bytes: AtomicU64,
    flushed: AtomicBool,
}

impl BlockStore for Watched {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let found = self.inner.get(key)?;
        let bytes = found.as_ref().map_or(0, |(_, payload)| payload.len());
        self.got_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(found)
    }
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.inner.info(key)
    }
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        self.inner.contains(keys)
    }
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        std::thread::sleep(self.delay);
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
        self.put_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.inner.put(blocks)
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
    let started = Instant::now();
    let error = fetch_blocks(
        &options(vec![address]),
        receiver,
        store.clone(),
        bcm_core::progress::none(),
        CancellationToken::new(),
    )
    .await
    .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
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
    let store = Arc::new(Watched {
        delay: Duration::from_millis(20),
        ..Watched::default()
    });
    // The sender stays open: without cancelling this would not end.
    let (sender, receiver) = mpsc::channel(100);
    sender.send(keys(&all)).await.unwrap();
    let cancel = CancellationToken::new();
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
    while store.stats().unwrap().blocks == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    let error = tokio::time::timeout(Duration::from_secs(10), fetching)
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
    let origin = Arc::new(Watched::default());
    let mut keys = Vec::new();
    for number in 0..300_u32 {
        let mut payload = vec![0; 600_000];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        let block = VerifiedBlock::new(payload.into(), 0).unwrap();
        keys.push(*block.key());
        origin.inner.put(&[block]).unwrap();
    }
    let address = real_server(origin.clone()).await;
    let store = Arc::new(Watched {
        delay: Duration::from_millis(8),
        ..Watched::default()
    });
    let options = FetchOptions {
        connections: 2,
        memory: 0,
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
    let mut most = 0;
    while !fetching.is_finished() {
        let put = store.put_bytes.load(Ordering::Relaxed);
        most = most.max(origin.got_bytes.load(Ordering::Relaxed) - put);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = fetching.await.unwrap().unwrap();
    assert_eq!((report.fetched, report.missing), (300, 0));
    // 16 MiB, and what sockets and the server hold for two connections, of 180 MB in all.
    assert!(most < 64 * 1024 * 1024, "{most} bytes were under way");
}
