//! The connections to a store's 0-db.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::ZdbStoreOptions;
use crate::block::BlockKey;
use crate::store::{Direction, StoreError};
use crate::zdb::ZdbAddress;
use crate::zdb::client::{ClientError, ScanPage, ZdbClient};
use crate::zdb::resp::Reply;

/// How many requests are in flight at most…
const WINDOW: usize = 1024;

/// …and about how many bytes of them wait to be sent.
const WINDOW_BYTES: usize = 4 << 20;

/// How many connections are kept for later.
const IDLE: usize = 8;

/// One request of a pipeline.
#[derive(Debug, Clone)]
pub(super) struct Request {
    command: &'static str,
    arguments: Vec<Bytes>,
}

impl Request {
    pub(super) fn new<const N: usize>(command: &'static str, arguments: [Bytes; N]) -> Self {
        Self {
            command,
            arguments: arguments.into(),
        }
    }

    pub(super) fn of_key(command: &'static str, key: &BlockKey) -> Self {
        Self::new(command, [Bytes::copy_from_slice(key.as_bytes())])
    }

    fn size(&self) -> usize {
        self.arguments.iter().map(Bytes::len).sum()
    }
}

/// Connections, and the thread that waits for them: the store's own, so that its methods can be
/// called from any thread, also one that belongs to a runtime.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    address: ZdbAddress,
    options: ZdbStoreOptions,
    idle: Mutex<Vec<ZdbClient>>,
}

impl Pool {
    pub(super) fn new(address: ZdbAddress, options: ZdbStoreOptions) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("block-store")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Thread {
                store: address.to_string(),
                source,
            })?;
        let shared = Shared {
            address,
            options,
            idle: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            runtime: Some(runtime),
        })
    }

    pub(super) fn address(&self) -> &ZdbAddress {
        &self.shared.address
    }

    /// Gives all of `requests` in a pipeline; their replies, in order.
    pub(super) fn ask(&self, requests: Vec<Request>) -> Result<Vec<Reply>, StoreError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        match self.run(Work::Ask(requests)) {
            Ok(Done::Replies(replies)) => Ok(replies),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// A page of a scan after the server's cursor `after`; `None` at the end.
    pub(super) fn scan(
        &self,
        after: Option<Bytes>,
        direction: Direction,
    ) -> Result<Option<ScanPage>, ClientError> {
        match self.run(Work::Scan(after, direction))? {
            Done::Page(page) => Ok(page),
            _ => Ok(None),
        }
    }

    /// The fields of `NSINFO`.
    pub(super) fn namespace_info(&self) -> Result<Vec<(String, String)>, StoreError> {
        match self.run(Work::Info) {
            Ok(Done::Info(fields)) => Ok(fields),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: ClientError) -> StoreError {
        StoreError::Remote {
            store: self.address().to_string(),
            source: Box::new(source),
        }
    }

    /// Does `work` on the pool's thread and waits for it.
    fn run(&self, work: Work) -> Result<Done, ClientError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let shared = Arc::clone(&self.shared);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Nobody waits any more only if the caller's thread is gone.
                let _ = sender.send(shared.attempt(&work).await);
            });
        }
        receiver.recv().unwrap_or_else(|_| {
            Err(ClientError::Closed {
                host: self.address().authority(),
                command: "a request",
            })
        })
    }
}

/// What a connection is used for.
enum Work {
    Ask(Vec<Request>),
    Scan(Option<Bytes>, Direction),
    Info,
}

/// What came of it.
enum Done {
    Replies(Vec<Reply>),
    Page(Option<ScanPage>),
    Info(Vec<(String, String)>),
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May happen on a thread of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<ZdbClient>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work`, again where it fails in a way that passes.
    async fn attempt(&self, work: &Work) -> Result<Done, ClientError> {
        let mut failures = 0;
        loop {
            let pooled = self.idle().pop();
            let was_pooled = pooled.is_some();
            let connected = match pooled {
                Some(client) => Ok(client),
                None => ZdbClient::connect(&self.address, &self.options.client).await,
            };
            let error = match connected {
                Err(error) => error,
                Ok(mut client) => match self.perform(&mut client, work).await {
                    Ok(done) => {
                        self.keep(client);
                        return Ok(done);
                    }
                    // The server has answered, and the connection is as good as before.
                    Err(error @ ClientError::Refused { .. }) => {
                        self.keep(client);
                        return Err(error);
                    }
                    Err(error) => error,
                },
            };
            if was_pooled {
                // The server was restarted, perhaps: the others are of no more use either.
                self.idle().clear();
                continue;
            }
            failures += 1;
            match self.options.retry.delay_after(failures) {
                Some(delay) if error.is_transient() => tokio::time::sleep(delay).await,
                _ => return Err(error),
            }
        }
    }

    async fn perform(&self, client: &mut ZdbClient, work: &Work) -> Result<Done, ClientError> {
        Ok(match work {
            Work::Ask(requests) => Done::Replies(pipeline(client, requests).await?),
            Work::Scan(after, Direction::Forward) => {
                Done::Page(client.scan(after.as_deref()).await?)
            }
            Work::Scan(after, Direction::Backward) => {
                Done::Page(client.scan_back(after.as_deref()).await?)
            }
            Work::Info => Done::Info(client.namespace_info(self.address.namespace()).await?),
        })
    }

    fn keep(&self, client: ZdbClient) {
        let mut idle = self.idle();
        if client.in_flight() == 0 && idle.len() < IDLE {
            idle.push(client);
        }
    }
}

/// An error that the server replies is a reply.
async fn pipeline(client: &mut ZdbClient, requests: &[Request]) -> Result<Vec<Reply>, ClientError> {
    let mut replies = Vec::with_capacity(requests.len());
    let (mut asked, mut bytes) = (0, 0);
    while let Some(next) = requests.get(replies.len()) {
        while let Some(request) = requests.get(asked)
            && asked - replies.len() < WINDOW
            && (bytes < WINDOW_BYTES || asked == replies.len())
        {
            let mut parts: Vec<&[u8]> = vec![request.command.as_bytes()];
            parts.extend(request.arguments.iter().map(|argument| &argument[..]));
            client.enqueue(&parts);
            bytes += request.size();
            asked += 1;
        }
        replies.push(client.reply(next.command).await?);
        bytes -= next.size();
    }
    Ok(replies)
}
