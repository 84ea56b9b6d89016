//! What tells one version of a resource from another, and going on with half a download.

use hyper::header;
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Request, Response};

/// What a server said of the version that it sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Validators {
    /// The entity tag as it came, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The date as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    /// Those of an answer. A header that is longer than any honest one is left out.
    #[must_use]
    pub fn of(response: &Response) -> Self {
        let text = |name| response.header(name).map(str::trim).map(str::to_owned);
        let honest = |text: &String| (1..=256).contains(&text.len());
        Self {
            etag: text(header::ETAG).filter(honest),
            last_modified: text(header::LAST_MODIFIED).filter(honest),
        }
    }

    /// The entity tag, if it promises the same bytes.
    #[must_use]
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| tag.starts_with('"'))
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Asks for another version only: 304 where there is none.
    #[must_use]
    pub fn unless_unchanged(&self, mut request: Request) -> Request {
        if let Some(etag) = &self.etag {
            request = request.with_header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = &self.last_modified {
            request = request.with_header(header::IF_MODIFIED_SINCE, date);
        }
        request
    }

    /// Asks for the bytes from `first` on, if they still are of this version: 206 with them, or 200
    /// with the whole of another version. `None` where this version cannot be named.
    #[must_use]
    pub fn from_byte(&self, request: Request, first: u64) -> Option<Request> {
        let version = self.strong_etag().or(self.last_modified.as_deref())?;
        Some(
            request
                .with_header(header::RANGE, &format!("bytes={first}-"))
                .with_header(header::IF_RANGE, version),
        )
    }

    /// Whether `other` contradicts this: both name a version, and not the same.
    #[must_use]
    pub fn contradict(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        differ(&self.etag, &other.etag) || differ(&self.last_modified, &other.last_modified)
    }
}

/// Which bytes a 206 has, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// The size of the whole, where the server says it.
    pub size: Option<u64>,
}

impl ContentRange {
    /// That of an answer; `None` where it is not a 206 with one well-formed range.
    #[must_use]
    pub fn of(response: &Response) -> Option<Self> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        Self::parse(response.header(header::CONTENT_RANGE)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            size: match size {
                "*" => None,
                size => Some(size.parse().ok()?),
            },
        };
        let fits = range.size.is_none_or(|size| range.last < size);
        (range.first <= range.last && fits).then_some(range)
    }
}

/// Whether the end of a body can be told from a connection that broke: its length is said before,
/// or it is chunked.
pub(super) fn has_an_end(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH)
        || headers
            .get(header::TRANSFER_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let range = |first, last, size| Some(ContentRange { first, last, size });
        for (text, parsed) in [
            ("bytes 0-9/10", range(0, 9, Some(10))),
            ("bytes 5-9/*", range(5, 9, None)),
            ("bytes 0-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("octets 0-9/10", None),
            ("bytes -1-9/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), parsed, "{text}");
        }
    }

    #[test]
    fn a_version_is_named_by_a_strong_tag_or_a_date() {
        let request = || Request::get("http://a.test/x".parse().unwrap());
        let validators = |etag: Option<&str>, date: Option<&str>| Validators {
            etag: etag.map(str::to_owned),
            last_modified: date.map(str::to_owned),
        };
        let named = |v: &Validators| {
            let request = v.from_byte(request(), 7)?;
            assert_eq!(request.headers[header::RANGE], "bytes=7-");
            Some(
                request.headers[header::IF_RANGE]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            )
        };
        assert_eq!(
            named(&validators(Some("\"a\""), Some("d"))).unwrap(),
            "\"a\""
        );
        assert_eq!(named(&validators(Some("W/\"a\""), Some("d"))).unwrap(), "d");
        assert_eq!(named(&validators(Some("W/\"a\""), None)), None);
        let a = validators(Some("\"a\""), None);
        assert!(a.contradict(&validators(Some("\"b\""), None)));
        assert!(!a.contradict(&validators(None, Some("d"))));
        assert!(!a.contradict(&a.clone()));
    }
}
