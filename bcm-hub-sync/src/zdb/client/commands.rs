//! 0-db's commands for readers.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{ClientError, ZdbClient};
use crate::zdb::resp::Reply;

/// What is waited beyond the time that a `WAIT` was asked to take: a server looks for waits that
/// are over only now and then.
const WAIT_GRACE: Duration = Duration::from_secs(10);

/// One key of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanEntry {
    /// The key as it is stored, 1–255 bytes.
    pub key: Bytes,
    /// Bytes of payload.
    pub size: u64,
    /// When it was set, in seconds since 1970, as the server says.
    pub timestamp: i64,
}

/// A part of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    /// Names the last of `entries`: what the next request starts after.
    pub cursor: Bytes,
    /// In the order of insertion.
    pub entries: Vec<ScanEntry>,
}

impl ScanPage {
    /// About how many bytes of the connection it took.
    pub(crate) fn wire_bytes(&self) -> usize {
        // Lengths and numbers are about as long as this.
        let entry = |entry: &ScanEntry| entry.key.len() + 32;
        self.cursor.len() + self.entries.iter().map(entry).sum::<usize>()
    }
}

impl ZdbClient {
    /// The payload of `key`, or `None` where it is not there.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, ClientError> {
        match self.call("GET", &[key]).await? {
            Reply::Bulk(payload) => Ok(Some(payload)),
            Reply::Nil => Ok(None),
            other => Err(self.unexpected("GET", &other)),
        }
    }

    /// Gets many keys in a pipeline with up to `window` requests in flight, and hands each
    /// payload (or `None`) to `take`, in order. What has arrived and was not taken yet is at most
    /// what one read from the connection brought.
    ///
    /// # Errors
    /// See [`ZdbClient::call`]. The requests in flight are lost then.
    pub async fn get_many<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        window: usize,
        mut take: impl FnMut(K, Option<Bytes>),
    ) -> Result<(), ClientError> {
        let mut keys = keys.into_iter();
        let mut asked = VecDeque::new();
        loop {
            while asked.len() < window.max(1)
                && let Some(key) = keys.next()
            {
                self.enqueue(&[b"GET", key.as_ref()]);
                asked.push_back(key);
            }
            if asked.is_empty() {
                return Ok(());
            }
            let reply = self.reply("GET").await?;
            let Some(key) = asked.pop_front() else {
                return Ok(());
            };
            match reply {
                Reply::Bulk(payload) => take(key, Some(payload)),
                Reply::Nil => take(key, None),
                Reply::Error(message) => {
                    return Err(ClientError::Refused {
                        host: self.host.clone(),
                        command: "GET",
                        message,
                    });
                }
                other => return Err(self.unexpected("GET", &other)),
            }
        }
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn exists(&mut self, key: &[u8]) -> Result<bool, ClientError> {
        match self.call("EXISTS", &[key]).await? {
            Reply::Integer(number @ 0..=1) => Ok(number == 1),
            other => Err(self.unexpected("EXISTS", &other)),
        }
    }

    /// How long the payload of `key` is, in bytes; `None` where it is not there.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn length(&mut self, key: &[u8]) -> Result<Option<u64>, ClientError> {
        match self.call("LENGTH", &[key]).await? {
            Reply::Nil => Ok(None),
            ref reply @ Reply::Integer(number) => u64::try_from(number)
                .map(Some)
                .map_err(|_| self.unexpected("LENGTH", reply)),
            other => Err(self.unexpected("LENGTH", &other)),
        }
    }

    /// When `key` was set, in seconds since 1970, as the server says; `None` where it is not
    /// there.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn key_time(&mut self, key: &[u8]) -> Result<Option<i64>, ClientError> {
        match self.call("KEYTIME", &[key]).await? {
            Reply::Nil => Ok(None),
            Reply::Integer(time) => Ok(Some(time)),
            other => Err(self.unexpected("KEYTIME", &other)),
        }
    }

    /// The keys that were inserted after the place `after` (or from the beginning), as many as
    /// the server gives at once; `None` at the end. A server that does not know `after` (it
    /// compacted its files) refuses with `Invalid key format`: start from the beginning then.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn scan(&mut self, after: Option<&[u8]>) -> Result<Option<ScanPage>, ClientError> {
        self.scan_by("SCANX", after).await
    }

    /// As [`ZdbClient::scan`], from the newest key to the oldest.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn scan_back(
        &mut self,
        after: Option<&[u8]>,
    ) -> Result<Option<ScanPage>, ClientError> {
        self.scan_by("RSCAN", after).await
    }

    async fn scan_by(
        &mut self,
        command: &'static str,
        after: Option<&[u8]>,
    ) -> Result<Option<ScanPage>, ClientError> {
        let arguments: &[&[u8]] = match &after {
            Some(cursor) => &[cursor],
            None => &[],
        };
        let reply = match self.call(command, arguments).await {
            Err(ClientError::Refused { message, .. }) if message == "No more data" => {
                return Ok(None);
            }
            other => other?,
        };
        match scan_page(&reply) {
            // A cursor that does not move would be asked for again and again.
            Some(page) if after != Some(&page.cursor[..]) && !page.entries.is_empty() => {
                Ok(Some(page))
            }
            _ => Err(self.unexpected(command, &reply)),
        }
    }

    /// What the server tells of `namespace`, as `field: value` pairs in its order.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn namespace_info(
        &mut self,
        namespace: &str,
    ) -> Result<Vec<(String, String)>, ClientError> {
        match self.call("NSINFO", &[namespace.as_bytes()]).await? {
            Reply::Bulk(text) => Ok(String::from_utf8_lossy(&text)
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(field, value)| (field.to_owned(), value.to_owned()))
                .collect()),
            other => Err(self.unexpected("NSINFO", &other)),
        }
    }

    /// Waits until somebody else sets a key in the namespace; `false` when nobody did in
    /// `at_most`, which 0-db takes from 100 ms to 30 min.
    ///
    /// # Errors
    /// See [`ZdbClient::call`].
    pub async fn wait_for_set(&mut self, at_most: Duration) -> Result<bool, ClientError> {
        let milliseconds = at_most.as_millis().to_string();
        let outcome = self
            .call_within(
                "WAIT",
                &[b"SET", milliseconds.as_bytes()],
                at_most + WAIT_GRACE,
            )
            .await;
        match outcome {
            Ok(Reply::Status(_)) => Ok(true),
            Err(ClientError::Refused { message, .. }) if message == "Timeout" => Ok(false),
            Ok(other) => Err(self.unexpected("WAIT", &other)),
            Err(error) => Err(error),
        }
    }
}

/// `[cursor, [[key, size, timestamp], …]]`.
fn scan_page(reply: &Reply) -> Option<ScanPage> {
    let Reply::Array(parts) = reply else {
        return None;
    };
    let [Reply::Bulk(cursor), Reply::Array(entries)] = &parts[..] else {
        return None;
    };
    let entries = entries
        .iter()
        .map(|entry| match entry {
            Reply::Array(fields) => match &fields[..] {
                [
                    Reply::Bulk(key),
                    Reply::Integer(size),
                    Reply::Integer(timestamp),
                ] => Some(ScanEntry {
                    key: key.clone(),
                    size: u64::try_from(*size).ok()?,
                    timestamp: *timestamp,
                }),
                _ => None,
            },
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(ScanPage {
        cursor: cursor.clone(),
        entries,
    })
}
