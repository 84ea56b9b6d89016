//! The Bootstraps that are mirrored: what they list, in the order of preference.

mod html;
mod index;

use bcm_core::cause::chain;
use bcm_core::http::{HttpClient, HttpError, HttpOptions, Request, StatusCode, Url, join};
use bcm_core::redact;
use bcm_core::refused::Refused;
use bcm_core::retry::RetryPolicy;

pub use index::{Index, IndexError, Listed};

/// The largest list that is read.
const MAX_INDEX: u64 = 16 << 20;

/// The upstreams, and how they are asked.
#[derive(Debug, Clone)]
pub struct Upstreams {
    client: HttpClient,
    urls: Vec<Url>,
    retry: RetryPolicy,
}

/// No upstream could be listed: what each said.
#[derive(Debug, thiserror::Error)]
#[error("{}", .failures.iter().map(|f| format!("{}: {}", f.subject, f.reason)).collect::<Vec<_>>().join("; "))]
pub struct ListError {
    /// One for each upstream.
    pub failures: Vec<Refused>,
}

/// A list of kernels, and where it came from.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Which of the upstreams.
    pub upstream: usize,
    /// What it lists.
    pub index: Index,
    /// The upstreams before it that could not be listed.
    pub failed: Vec<Refused>,
}

/// Why one upstream could not be listed.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Upstreams {
    /// Upstreams in the order of preference.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(
        urls: Vec<Url>,
        options: HttpOptions,
        retry: RetryPolicy,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            client: HttpClient::new(options)?,
            urls,
            retry,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.urls.len()
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &HttpClient {
        &self.client
    }

    /// How often a request is tried.
    #[must_use]
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// The name of an upstream for people and for the manifest: its URL without a password.
    #[must_use]
    pub fn name(&self, upstream: usize) -> String {
        redact::url(self.urls[upstream % self.urls.len()].as_str())
    }

    /// The URL of something of an upstream.
    #[must_use]
    pub fn url(&self, upstream: usize, segments: &[&str]) -> Url {
        join(&self.urls[upstream % self.urls.len()], segments)
    }

    /// What the first upstream that answers lists. A list that is no list, such as a captive
    /// portal's page, is the same as none.
    ///
    /// # Errors
    /// None of them can be listed.
    pub async fn list(&self) -> Result<Catalogue, ListError> {
        let mut failed = Vec::new();
        for upstream in 0..self.urls.len() {
            match self.list_one(upstream).await {
                Ok(index) => {
                    return Ok(Catalogue {
                        upstream,
                        index,
                        failed,
                    });
                }
                Err(error) => failed.push(Refused {
                    subject: self.name(upstream),
                    reason: match &error {
                        AskError::Http(error) => chain(error),
                        AskError::Index(error) => chain(error),
                    },
                }),
            }
        }
        Err(ListError { failures: failed })
    }

    async fn list_one(&self, upstream: usize) -> Result<Index, AskError> {
        let mut failures = 0;
        loop {
            let error = match self.list_once(upstream).await {
                Ok(index) => return Ok(index),
                Err(error) => error,
            };
            failures += 1;
            let again = matches!(&error, AskError::Http(error) if error.is_transient());
            match self.retry.delay_after(failures) {
                Some(delay) if again => tokio::time::sleep(delay).await,
                _ => return Err(error),
            }
        }
    }

    /// Older upstreams have no JSON, only the page.
    async fn list_once(&self, upstream: usize) -> Result<Index, AskError> {
        let get = |segments: &[&str]| Request::get(self.url(upstream, segments));
        let response = self.client.send(get(&["api", "images"])).await?;
        if response.status() != StatusCode::NOT_FOUND {
            let body = response.success()?.bytes(MAX_INDEX).await?;
            return Ok(Index::of_json(&body)?);
        }
        let page = self.client.send(get(&["images"])).await?.success()?;
        let body = page.bytes(MAX_INDEX).await?;
        Ok(html::index(&String::from_utf8_lossy(&body))?)
    }
}
