//! Asking hubs: so many requests at a time, with retries, and without end for none of them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_core::digest::{DownloadHasher, Md5};
use bcm_core::http::{
    HttpClient, HttpError, HttpErrorKind, HttpOptions, Request, Response, Url, header,
};
use bcm_core::names::RepoName;
use bcm_core::retry::RetryPolicy;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::parse::{self, Light, ParseError};
use super::{UpstreamError, request};
use crate::catalog::{FlistRef, TagRef};

/// The largest listing that is read, in bytes: room for 200,000 entries.
const MAX_LISTING: u64 = 32 * 1024 * 1024;
/// The largest listing of one tag, in bytes.
const MAX_TAG: u64 = 4 * 1024 * 1024;
/// The largest answer about one flist, in bytes.
const MAX_LIGHT: u64 = 64 * 1024;
/// How long a listing may take from its first to its last byte.
const LISTING_DEADLINE: Duration = Duration::from_secs(300);

/// A downloaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its MD5.
    pub md5: Md5,
    /// Its size in bytes.
    pub size: u64,
    /// What the hub says when it was changed, in seconds since 1970.
    pub last_modified: Option<i64>,
}

/// The hubs that a mirror copies from, in the order of preference.
#[derive(Debug)]
pub struct Upstreams {
    client: HttpClient,
    hubs: Vec<Url>,
    /// How often in a row each hub could not be reached.
    outages: Vec<AtomicU32>,
    give_up_after: u32,
    retry: RetryPolicy,
    parallel: usize,
    permits: Semaphore,
}

impl Upstreams {
    /// Takes `hubs`, which are asked with at most `parallel` requests at a time.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        hubs: Vec<Url>,
        http: HttpOptions,
        retry: RetryPolicy,
        parallel: usize,
    ) -> Result<Self, UpstreamError> {
        let parallel = parallel.max(1);
        // Every request that is under way may fail at once when a hub goes away.
        let give_up_after = u32::try_from(parallel).unwrap_or(u32::MAX).max(8) * 2;
        Ok(Self {
            client: HttpClient::new(http)?,
            outages: hubs.iter().map(|_| AtomicU32::new(0)).collect(),
            give_up_after: give_up_after.saturating_add(retry.attempts),
            hubs,
            retry,
            parallel,
            permits: Semaphore::new(parallel),
        })
    }

    /// How many hubs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.hubs.len()
    }

    /// The hub `index`, without a password.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        let hub = self.hubs.get(index).map_or("", Url::as_str);
        bcm_core::redact::url(hub.trim_end_matches('/'))
    }

    /// How often to try again.
    #[must_use]
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// How many requests are sent at a time.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.parallel
    }

    /// `/api/repositories` of the hub `index`.
    pub(super) async fn repositories(&self, index: usize) -> Result<Answer, UpstreamError> {
        self.listing(index, request::repositories, MAX_LISTING)
            .await
    }

    /// `/api/fileslist` of the hub `index`.
    pub(super) async fn fileslist(&self, index: usize) -> Result<Answer, UpstreamError> {
        // A hub may need longer for all of it than anybody waits, also the next time; there is
        // another way to list it.
        let patient = |error: &UpstreamError| {
            !matches!(error, UpstreamError::Late { .. })
                && !matches!(error, UpstreamError::Http(error)
                    if matches!(error.kind, HttpErrorKind::Silent { .. } | HttpErrorKind::TooSlow { .. }))
        };
        self.listing_while(patient, index, request::fileslist, MAX_LISTING)
            .await
    }

    /// The listing of a repository.
    pub(super) async fn repository(
        &self,
        index: usize,
        name: &RepoName,
    ) -> Result<Answer, UpstreamError> {
        let url = |hub: &Url| request::repository(hub, name);
        self.listing(index, url, MAX_LISTING).await
    }

    /// The listing of a tag.
    pub(super) async fn tag(&self, index: usize, tag: &TagRef) -> Result<Answer, UpstreamError> {
        self.listing(index, |hub| request::tag(hub, tag), MAX_TAG)
            .await
    }

    /// The MD5 of an flist, by one request to the hub `index`.
    ///
    /// # Errors
    /// The request failed, or what came is not an MD5.
    pub async fn md5(&self, index: usize, flist: &FlistRef) -> Result<Md5, UpstreamError> {
        let url = |hub: &Url| request::md5(hub, flist);
        let answer = self.once(index, url, MAX_LIGHT).await?;
        answer.parse(parse::md5)
    }

    /// Size, time and MD5 of an flist, by one request to the hub `index`. `now` is this machine's
    /// time in seconds since 1970.
    ///
    /// # Errors
    /// The request failed, or what came makes no sense.
    pub async fn light(
        &self,
        index: usize,
        flist: &FlistRef,
        now: i64,
    ) -> Result<Light, UpstreamError> {
        let url = |hub: &Url| request::light(hub, flist);
        let answer = self.once(index, url, MAX_LIGHT).await?;
        answer.parse(|body| parse::light(body, now))
    }

    /// Writes the bytes of an flist to `file`, at most `max` of them, by one request to the hub
    /// `index`. `seen` learns how many bytes came.
    ///
    /// # Errors
    /// The request failed, the file is too large or could not be written.
    pub async fn download(
        &self,
        index: usize,
        flist: &FlistRef,
        file: File,
        max: u64,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<Download, UpstreamError> {
        let (url, response) = self.send(index, |hub| request::flist(hub, flist)).await?;
        let _permit = response.1;
        let response = response.0;
        let last_modified = response.last_modified();
        let mut hasher = DownloadHasher::default();
        let mut writer = BufWriter::with_capacity(128 * 1024, file);
        let result = response
            .copy_to(&mut writer, max, |piece| {
                hasher.update(piece);
                seen(piece.len() as u64);
            })
            .await;
        self.count_outage(index, result.as_ref().err());
        result?;
        writer.flush().map_err(|error| HttpError {
            url: url.to_string(),
            kind: HttpErrorKind::Write,
            source: Some(Box::new(error)),
        })?;
        let (md5, _, size) = hasher.finish();
        Ok(Download {
            md5,
            size,
            last_modified: last_modified.and_then(|time| i64::try_from(time).ok()),
        })
    }

    /// Asks the hub `index` until it answers, or as often as the policy says.
    async fn listing(
        &self,
        index: usize,
        url: impl Fn(&Url) -> Url,
        max: u64,
    ) -> Result<Answer, UpstreamError> {
        self.listing_while(|_| true, index, url, max).await
    }

    /// As `listing`, but gives up at once when `patient` says so.
    async fn listing_while(
        &self,
        patient: impl Fn(&UpstreamError) -> bool,
        index: usize,
        url: impl Fn(&Url) -> Url,
        max: u64,
    ) -> Result<Answer, UpstreamError> {
        let mut failures = 0;
        loop {
            let error = match self.once(index, &url, max).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            match self.retry.delay_after(failures) {
                Some(delay) if error.is_transient() && patient(&error) => {
                    tracing::debug!(%error, ?delay, "trying again");
                    tokio::time::sleep(delay).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn once(
        &self,
        index: usize,
        url: impl Fn(&Url) -> Url,
        max: u64,
    ) -> Result<Answer, UpstreamError> {
        let (url, (response, _permit)) = self.send(index, url).await?;
        let url = bcm_core::redact::url(url.as_str());
        let date = response.header(header::DATE);
        let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
        match tokio::time::timeout(LISTING_DEADLINE, response.bytes(max)).await {
            Ok(result) => {
                self.count_outage(index, result.as_ref().err());
                let body = result?;
                Ok(Answer { url, body, date })
            }
            Err(_) => Err(UpstreamError::Late {
                url,
                waited: LISTING_DEADLINE,
            }),
        }
    }

    async fn send(
        &self,
        index: usize,
        url: impl Fn(&Url) -> Url,
    ) -> Result<(Url, (Response, tokio::sync::SemaphorePermit<'_>)), UpstreamError> {
        let failures = self.outages[index].load(Ordering::Relaxed);
        if failures >= self.give_up_after {
            let hub = self.name(index);
            return Err(UpstreamError::GivenUp { hub, failures });
        }
        // The semaphore is never closed.
        let Ok(permit) = self.permits.acquire().await else {
            let hub = self.name(index);
            return Err(UpstreamError::GivenUp { hub, failures });
        };
        let url = url(&self.hubs[index]);
        let result = self.client.send(Request::get(url.clone())).await;
        let result = result.and_then(Response::success);
        self.count_outage(index, result.as_ref().err());
        Ok((url, (result?, permit)))
    }

    fn count_outage(&self, index: usize, error: Option<&HttpError>) {
        let outage = error.is_some_and(|error| {
            matches!(
                error.kind,
                HttpErrorKind::Connect
                    | HttpErrorKind::Broken
                    | HttpErrorKind::Silent { .. }
                    | HttpErrorKind::TooSlow { .. }
            )
        });
        if outage {
            self.outages[index].fetch_add(1, Ordering::Relaxed);
        } else {
            self.outages[index].store(0, Ordering::Relaxed);
        }
    }
}

/// An answer that was not looked at yet.
#[derive(Debug)]
pub(super) struct Answer {
    url: String,
    body: Bytes,
    date: Option<SystemTime>,
}

impl Answer {
    /// When the hub made it, by the hub's own clock, in seconds since 1970.
    pub(super) fn date(&self) -> Option<i64> {
        let since = self.date?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    }

    /// Reads the answer.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, UpstreamError> {
        parse(&self.body).map_err(|source| UpstreamError::Parse {
            url: self.url.clone(),
            source,
        })
    }
}
