//! A source's queue of keys, shared by its connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::task::JoinSet;

use super::Shared;
use super::connection::Connection;
use super::stages::{Verified, verify_blocks};
use crate::block::BlockKey;
use crate::zdb::ZdbAddress;
use crate::zdb::client::ClientError;

/// How many keys a connection takes at a time.
pub(super) const CHUNK: usize = 32;

/// How many chunks wait in a lane: enough for the windows of its connections at once.
const QUEUE: usize = 256;

/// How often a source may break the protocol before it is given up.
const MAX_VIOLATIONS: usize = 20;

/// A key on its way along the lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) key: BlockKey,
    /// How often a connection broke when this key's answer was next.
    pub(super) breaks: u8,
    /// An earlier source gave something that is not this block.
    refused: bool,
    /// An earlier source could not be asked.
    unanswered: bool,
}

impl Ask {
    pub(super) fn new(key: BlockKey) -> Self {
        Self {
            key,
            breaks: 0,
            refused: false,
            unanswered: false,
        }
    }

    /// The same key for the next source, after this one gave something unusable.
    pub(super) fn refused(self) -> Self {
        Self {
            refused: true,
            ..self
        }
    }
}

/// Where keys go that a lane could not get.
#[derive(Clone)]
pub(super) enum Next {
    Lane(mpsc::Sender<Vec<Ask>>),
    End(Arc<Shared>),
}

impl Next {
    pub(super) async fn send(&self, mut asks: Vec<Ask>) {
        if asks.is_empty() {
            return;
        }
        match self {
            Self::Lane(sender) => {
                for ask in &mut asks {
                    ask.breaks = 0;
                }
                // A lane that is gone means that the fetch is over.
                let _ = sender.send(asks).await;
            }
            Self::End(shared) => shared.report(|report| {
                for ask in asks {
                    report.missing += 1;
                    if ask.unanswered {
                        report.unanswered.add(ask.key);
                    } else if !ask.refused {
                        report.absent.add(ask.key);
                    }
                }
            }),
        }
    }
}

struct Members {
    /// Connections that still take keys.
    live: usize,
    violations: usize,
    /// Keys of connections that gave up, for the others.
    returned: VecDeque<Ask>,
}

/// One source.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) next: Next,
    queue: AsyncMutex<mpsc::Receiver<Vec<Ask>>>,
    members: Mutex<Members>,
    /// Somebody put keys into `returned`.
    returning: Notify,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        number: usize,
        next: Next,
    ) -> (mpsc::Sender<Vec<Ask>>, Arc<Self>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let members = Members {
            live: shared.options.connections,
            violations: 0,
            returned: VecDeque::new(),
        };
        let lane = Self {
            shared,
            number,
            next,
            queue: AsyncMutex::new(queue),
            members: Mutex::new(members),
            returning: Notify::new(),
        };
        (sender, Arc::new(lane))
    }

    /// Starts the lane's connections, each with a stage that verifies what it receives.
    pub(super) fn spawn(self: &Arc<Self>, tasks: &mut JoinSet<()>, store: &mpsc::Sender<Verified>) {
        for _ in 0..self.shared.options.connections {
            let (to_verify, received) = mpsc::channel(1);
            tasks.spawn(Connection::new(Arc::clone(self), to_verify).run());
            tasks.spawn(verify_blocks(Arc::clone(self), received, store.clone()));
        }
    }

    pub(super) fn address(&self) -> &ZdbAddress {
        &self.shared.options.sources[self.number]
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_returned(members: &mut Members) -> Option<Vec<Ask>> {
        let count = members.returned.len().min(CHUNK);
        (count > 0).then(|| members.returned.drain(..count).collect())
    }

    /// Keys to ask for, where there are some at once.
    pub(super) fn try_take(&self) -> Option<Vec<Ask>> {
        if let Some(asks) = Self::take_returned(&mut self.members()) {
            return Some(asks);
        }
        // Whoever holds the lock waits, so there is nothing.
        self.queue.try_lock().ok()?.try_recv().ok()
    }

    /// Waits for keys to ask for. `None` when there will be none: then the connection has left.
    pub(super) async fn take(&self) -> Option<Vec<Ask>> {
        loop {
            let returning = self.returning.notified();
            if let Some(asks) = Self::take_returned(&mut self.members()) {
                return Some(asks);
            }
            let queued = async { self.queue.lock().await.recv().await };
            tokio::select! {
                () = returning => {}
                asks = queued => {
                    if asks.is_some() {
                        return asks;
                    }
                    let mut members = self.members();
                    if members.returned.is_empty() {
                        members.live -= 1;
                        return None;
                    }
                }
            }
        }
    }

    /// A connection failed; whether the source has broken the protocol too often.
    pub(super) fn failed(&self, error: &ClientError) -> bool {
        self.shared.report(|report| {
            if let Some(source) = report.sources.get_mut(self.number) {
                source.failures += 1;
            }
        });
        if !error.is_protocol() {
            return false;
        }
        let mut members = self.members();
        members.violations += 1;
        members.violations >= MAX_VIOLATIONS
    }

    /// A connection gives up and leaves its keys to the lane's others. The last one takes the
    /// source as down and passes all keys on, now and from then on.
    pub(super) async fn give_up(&self, asks: VecDeque<Ask>, error: ClientError) {
        let rest = {
            let mut members = self.members();
            members.live -= 1;
            members.returned.extend(asks);
            (members.live == 0).then(|| std::mem::take(&mut members.returned))
        };
        let Some(rest) = rest else {
            self.returning.notify_waiters();
            return;
        };
        self.shared.source_down(self.number, error);
        self.pass_on(rest.into()).await;
        let mut queue = self.queue.lock().await;
        while let Some(asks) = queue.recv().await {
            self.pass_on(asks).await;
        }
    }

    async fn pass_on(&self, mut asks: Vec<Ask>) {
        for ask in &mut asks {
            ask.unanswered = true;
        }
        self.next.send(asks).await;
    }
}
