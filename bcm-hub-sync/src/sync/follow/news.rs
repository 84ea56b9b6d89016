//! Hears from an upstream's 0-db when it gets blocks.
//!
//! `WAIT SET` answers when somebody else sets something in the namespace. An upload is many blocks
//! and then an flist that names them, so the news is passed on when it has been quiet for a moment,
//! or after a while in any case. What comes between two `WAIT`s goes unheard: the next poll
//! sees it. So nothing depends on this; it only makes a mirror quicker.

use std::convert::Infallible;
use std::time::Duration;

use bcm_core::progress::{Level, SharedProgress};
use bcm_core::retry::RetryPolicy;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::config::SyncConfig;
use super::pace::FollowOptions;
use crate::zdb::ZdbAddress;
use crate::zdb::client::{ClientError, ZdbClient};
use bcm_core::cause::chain;

/// How long one `WAIT` takes at most: so long does it take to notice that a connection is dead.
const WAIT: Duration = Duration::from_secs(300);

/// An upload is over when nothing came for this long.
const QUIET: Duration = Duration::from_secs(2);

/// An upload that goes on is passed on as news after this long.
const LONGEST_UPLOAD: Duration = Duration::from_secs(30);

/// Whatever a server answers, it is asked again no sooner.
const BREATH: Duration = Duration::from_millis(200);

/// Servers that do not know `WAIT` are asked whether they do by now after this long.
const REFUSED: Duration = Duration::from_secs(3600);

/// Notifies `news` whenever the first of the sources that can be reached got something. Never ends.
///
/// Cancel safety: it may be dropped at any time.
pub(super) async fn listen(
    config: &SyncConfig,
    options: &FollowOptions,
    news: &Notify,
    progress: &SharedProgress,
) -> Infallible {
    let policy = RetryPolicy {
        attempts: u32::MAX,
        first: options.first_retry,
        longest: options.longest_retry,
    };
    let mut listener = Listener {
        config,
        news,
        heard: false,
        failures: 0,
    };
    let mut told = false;
    loop {
        let sources = config.block_sources();
        let mut refused = 0;
        for source in &sources {
            let Err(error) = listener.listen_to(source).await;
            if is_refusal(&error) {
                refused += 1;
            }
            tracing::debug!(%source, why = chain(&error), "cannot hear of new blocks");
        }
        let pause = match refused == sources.len() {
            true => {
                if !std::mem::replace(&mut told, true) {
                    let text =
                        "upstream does not say when it gets blocks: it is asked at every interval";
                    progress.note(Level::Info, text);
                }
                REFUSED
            }
            false => {
                listener.failures = listener.failures.saturating_add(1);
                let failures = listener.failures.min(u32::MAX - 1);
                policy.delay_after(failures).unwrap_or(policy.longest)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether the server answered, and will answer the same again.
fn is_refusal(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused { .. } | ClientError::Unexpected { .. } | ClientError::Protocol { .. }
    )
}

struct Listener<'a> {
    config: &'a SyncConfig,
    news: &'a Notify,
    /// Whether a server was being listened to: what it got since is news when it is back.
    heard: bool,
    /// In a row, of all sources.
    failures: u32,
}

impl Listener<'_> {
    async fn listen_to(&mut self, source: &ZdbAddress) -> Result<Infallible, ClientError> {
        let fetch = &self.config.fetch;
        let mut client = ZdbClient::connect(source, &fetch.client).await?;
        if std::mem::take(&mut self.heard) {
            self.news.notify_one();
        }
        loop {
            fetch.limiter.request().await;
            let begin = Instant::now();
            let set = client.wait_for_set(WAIT).await?;
            self.heard = true;
            self.failures = 0;
            if set {
                self.until_quiet(&mut client).await?;
                self.news.notify_one();
            }
            tokio::time::sleep(BREATH.saturating_sub(begin.elapsed())).await;
        }
    }

    /// Waits for the end of an upload.
    async fn until_quiet(&self, client: &mut ZdbClient) -> Result<(), ClientError> {
        let begin = Instant::now();
        while begin.elapsed() < LONGEST_UPLOAD {
            tokio::time::sleep(BREATH).await;
            self.config.fetch.limiter.request().await;
            if !client.wait_for_set(QUIET).await? {
                break;
            }
        }
        Ok(())
    }
}
