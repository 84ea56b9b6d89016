//! One connection of a lane: asks, receives, and comes back after a failure.

use std::collections::VecDeque;
use std::sync::Arc;

use bcm_core::cause::chain;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::lane::{Ask, Lane};
use super::stages::{Batch, timestamp};
use crate::zdb::client::{ClientError, ZdbClient};
use crate::zdb::resp::{Reply, RespError};

/// A batch is verified when it has this many bytes (less where little memory is allowed): enough
/// to hash large blocks next to each other…
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// …or this many blocks.
const BATCH_BLOCKS: usize = 256;

/// What a block is taken to have before any has come, in bytes: little, so that the first round
/// trip is made use of. What arrives does not take more memory by it.
const FIRST_GUESS: usize = 16 * 1024;

/// A key whose answer breaks this many connections is not asked for again. After the first it is
/// asked for alone, so that no other key suffers with it.
const MAX_BREAKS: u8 = 3;

/// What the source says to a key.
enum Answer {
    Block(Bytes),
    Absent,
    Refused(String),
}

/// Why a session ends.
enum End {
    /// There are no more keys, or the fetch is over.
    Done,
    Failed(ClientError),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Connection {
    lane: Arc<Lane>,
    to_verify: mpsc::Sender<Batch>,
    /// Not asked yet.
    pending: VecDeque<Ask>,
    /// Their answers may have broken a connection: asked for one by one, after all others.
    suspects: Vec<Ask>,
    /// Asked and not answered, in the order of the answers.
    asked: VecDeque<Ask>,
    /// The answer to the first of `asked`, whose time is still to come.
    untimed: Option<Answer>,
    batch: Batch,
    /// What the source does not give.
    unavailable: Vec<Ask>,
    /// A block's usual size.
    usual: usize,
    /// Failures since the last answer.
    failures: u32,
}

impl Connection {
    pub(super) fn new(lane: Arc<Lane>, to_verify: mpsc::Sender<Batch>) -> Self {
        Self {
            lane,
            to_verify,
            pending: VecDeque::new(),
            suspects: Vec::new(),
            asked: VecDeque::new(),
            untimed: None,
            batch: Batch::default(),
            unavailable: Vec::new(),
            usual: FIRST_GUESS,
            failures: 0,
        }
    }

    /// Asks for the lane's keys until there are none, or the source has failed too often.
    pub(super) async fn run(mut self) {
        let cancel = self.lane.shared.cancel.clone();
        cancel.run_until_cancelled(self.sessions()).await;
        // What has arrived is kept, also when the fetch is cancelled.
        self.hand_over().await;
    }

    async fn sessions(&mut self) {
        while self.has_work().await {
            let Err(End::Failed(error)) = self.session().await else {
                return;
            };
            let too_often = self.lane.failed(&error);
            let by_suspect = self.after_failure(&error);
            self.hand_over().await;
            self.pass_on().await;
            // What one key does, again, says nothing against the source.
            if !by_suspect {
                self.failures += 1;
            }
            let retry = &self.lane.shared.options.retry;
            let delay = match by_suspect {
                true => Some(retry.first),
                false => retry.delay_after(self.failures),
            };
            match delay {
                Some(delay) if error.is_transient() && !too_often => {
                    tracing::debug!(%error, ?delay, "asking again");
                    tokio::time::sleep(delay).await;
                }
                _ => {
                    let mut asks = std::mem::take(&mut self.pending);
                    asks.extend(self.suspects.drain(..));
                    return self.lane.give_up(asks, error).await;
                }
            }
        }
    }

    /// Waits until there is something to ask for. A source is not connected to before.
    async fn has_work(&mut self) -> bool {
        if self.pending.is_empty() && self.suspects.is_empty() {
            match self.lane.take().await {
                Some(asks) => self.pending.extend(asks),
                None => return false,
            }
        }
        true
    }

    /// Everything that was not answered is to be asked again, but a key that broke the
    /// connection too often. Whether it was a key that had broken one before.
    fn after_failure(&mut self, error: &ClientError) -> bool {
        self.untimed = None;
        let mut by_suspect = false;
        if let Some(mut first) = self.asked.pop_front() {
            by_suspect = first.breaks > 0;
            first.breaks += 1;
            let too_large = matches!(
                error,
                ClientError::Protocol {
                    source: RespError::BulkTooLarge { .. },
                    ..
                }
            );
            if too_large || first.breaks >= MAX_BREAKS {
                self.refuse(first, chain(error));
            } else {
                self.suspects.push(first);
            }
        }
        while let Some(ask) = self.asked.pop_back() {
            self.pending.push_front(ask);
        }
        by_suspect
    }

    fn refuse(&mut self, ask: Ask, reason: String) {
        let number = self.lane.number;
        self.lane
            .shared
            .report(|report| report.refuse(ask.key, number, reason));
        self.unavailable.push(ask.refused());
    }

    /// How many blocks may be in flight: as many of the usual size as this connection's part of
    /// the memory holds.
    fn window(&self) -> usize {
        let options = &self.lane.shared.options;
        let bytes = options.memory / options.connections;
        // Asked for ahead is no more than may be asked for in a second.
        let requests = options.limiter.requests_a_second();
        let requests = requests.map_or(usize::MAX, |count| {
            usize::try_from(count).unwrap_or(usize::MAX)
        });
        (bytes / self.usual.max(1)).clamp(2, options.in_flight.min(requests).max(2))
    }

    /// All connections' batches together take an eighth of the memory, so that there is always
    /// room for what arrives while they are verified.
    fn batch_bytes(&self) -> usize {
        let options = &self.lane.shared.options;
        BATCH_BYTES.min(options.memory / (8 * options.connections))
    }

    async fn session(&mut self) -> Result<(), End> {
        let lane = Arc::clone(&self.lane);
        let options = &lane.shared.options;
        tracing::debug!(source = %lane.address(), "asking for blocks");
        let mut client = ZdbClient::connect(lane.address(), &options.client).await?;
        loop {
            self.ask(&mut client);
            if self.asked.is_empty() {
                self.hand_over().await;
                self.pass_on().await;
                if !self.has_work().await {
                    return Err(End::Done);
                }
                continue;
            }
            let command = match self.untimed {
                Some(_) => "KEYTIME",
                None => "GET",
            };
            let reply = match client.arrived(command)? {
                Some(reply) => reply,
                None => client.reply(command).await?,
            };
            if self.untimed.is_none() {
                let limiter = &lane.shared.options.limiter;
                limiter.request().await;
                if let Reply::Bulk(payload) = &reply {
                    limiter.bytes(payload.len()).await;
                }
            }
            self.take_reply(&client, reply).await?;
            if self.batch.bytes >= self.batch_bytes() || self.batch.len() >= BATCH_BLOCKS {
                self.hand_over().await;
            }
            if self.unavailable.len() >= super::CHUNK {
                self.pass_on().await;
            }
        }
    }

    /// Asks for as much as may be in flight, once a quarter of it has been answered: few large
    /// writes cost both sides less than many small ones.
    fn ask(&mut self, client: &mut ZdbClient) {
        let window = self.window();
        if self.asked.len() > window - window.div_ceil(4) {
            return;
        }
        while self.asked.len() < window {
            if let Some(ask) = self.pending.pop_front() {
                if ask.breaks > 0 {
                    // Another connection met it and gave up.
                    self.suspects.push(ask);
                } else {
                    self.request(client, ask);
                }
                continue;
            }
            match self.lane.try_take() {
                Some(asks) => self.pending.extend(asks),
                None => break,
            }
        }
        if self.asked.is_empty()
            && let Some(suspect) = self.suspects.pop()
        {
            self.request(client, suspect);
        }
    }

    fn request(&mut self, client: &mut ZdbClient, ask: Ask) {
        client.enqueue(&[b"GET", ask.key.as_bytes()]);
        if self.lane.shared.options.timestamps {
            client.enqueue(&[b"KEYTIME", ask.key.as_bytes()]);
        }
        self.asked.push_back(ask);
    }

    async fn take_reply(&mut self, client: &ZdbClient, reply: Reply) -> Result<(), End> {
        let Some(answer) = self.untimed.take() else {
            let answer = match reply {
                Reply::Bulk(payload) => Answer::Block(payload),
                Reply::Nil => Answer::Absent,
                Reply::Error(message) => Answer::Refused(format!("the 0-db says: {message}")),
                other => return Err(client.unexpected("GET", &other).into()),
            };
            if self.lane.shared.options.timestamps {
                self.untimed = Some(answer);
            } else {
                self.settle(answer, None).await;
            }
            return Ok(());
        };
        let time = match reply {
            Reply::Integer(time) => Some(time),
            // Gone since, or a 0-db from before there was KEYTIME.
            Reply::Nil | Reply::Error(_) => None,
            other => return Err(client.unexpected("KEYTIME", &other).into()),
        };
        self.settle(answer, time).await;
        Ok(())
    }

    /// The first of `asked` is answered.
    async fn settle(&mut self, answer: Answer, time: Option<i64>) {
        let Some(ask) = self.asked.pop_front() else {
            return;
        };
        self.failures = 0;
        match answer {
            Answer::Block(payload) => self.take_block(ask, payload, timestamp(time)).await,
            Answer::Refused(reason) => self.refuse(ask, reason),
            Answer::Absent => {
                let number = self.lane.number;
                self.lane.shared.report(|report| {
                    if let Some(source) = report.sources.get_mut(number) {
                        source.absent += 1;
                    }
                });
                self.unavailable.push(ask);
            }
        }
    }

    async fn take_block(&mut self, ask: Ask, payload: Bytes, timestamp: u32) {
        // Slowly: a large block now and then is to change little.
        self.usual = (self.usual * 31 + payload.len()) / 32;
        let memory = Arc::clone(&self.lane.shared.memory);
        // Not larger than a block may be: the decoder sees to that.
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let permit = match Arc::clone(&memory).try_acquire_many_owned(size) {
            Ok(permit) => permit,
            Err(_) => {
                // What is gathered here takes memory, too, and has to go on its way first.
                self.hand_over().await;
                match memory.acquire_many_owned(size).await {
                    Ok(permit) => permit,
                    Err(_) => return,
                }
            }
        };
        self.batch.add(ask, payload, timestamp, permit);
    }

    /// Lets what has arrived be verified.
    async fn hand_over(&mut self) {
        if self.batch.len() == 0 {
            return;
        }
        // A stage that is gone means that the fetch is over.
        if let Ok(place) = self.to_verify.reserve().await {
            place.send(std::mem::take(&mut self.batch));
        }
    }

    /// Lets the next source be asked for what this one does not give.
    async fn pass_on(&mut self) {
        self.lane
            .next
            .send(std::mem::take(&mut self.unavailable))
            .await;
    }
}
