//! Answers that are made once, in both encodings, and sent many times.

use std::io::Write;

use crate::digest::Md5;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// Below this many bytes, gzip saves less than its headers cost.
const WORTH_COMPRESSING: usize = 1024;

/// The content type of JSON answers.
pub const JSON: &str = "application/json";
/// The content type of pages.
pub const HTML: &str = "text/html; charset=utf-8";

/// A text answer.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// What it is.
    pub content_type: &'static str,
    /// The bytes.
    pub plain: Bytes,
    /// The same, compressed; absent where that is not smaller, or the client did not ask.
    pub gzip: Option<Bytes>,
    /// The entity tag of the plain bytes, without its quotes.
    pub tag: String,
}

impl Rendered {
    /// Keeps `plain`, and its compressed form if `compress`.
    #[must_use]
    pub fn new(content_type: &'static str, plain: impl Into<Bytes>, compress: bool) -> Self {
        let plain = plain.into();
        Self {
            content_type,
            gzip: (compress && plain.len() >= WORTH_COMPRESSING)
                .then(|| gzip(&plain))
                .flatten(),
            tag: Md5::of(&plain).to_string(),
            plain,
        }
    }
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(5));
    encoder.write_all(plain).ok()?;
    let bytes = encoder.finish().ok()?;
    (bytes.len() < plain.len()).then(|| bytes.into())
}

/// Whether the client takes gzip: named with a weight above zero, or covered by `*`.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for item in value.split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters
                .split(';')
                .find_map(|parameter| parameter.trim().strip_prefix("q="));
            let wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|q: f32| q > 0.0));
            match coding.trim() {
                name if name.eq_ignore_ascii_case("gzip") => return wanted,
                "*" => any = wanted,
                _ => {}
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_client_chooses_the_encoding() {
        for (value, gzip) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("*", true),
            ("*;q=0", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), gzip, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn only_what_gets_smaller_is_compressed() {
        assert!(Rendered::new(JSON, vec![b'a'; 100], true).gzip.is_none());
        assert!(Rendered::new(JSON, vec![b'a'; 5000], false).gzip.is_none());
        let rendered = Rendered::new(JSON, vec![b'a'; 5000], true);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&rendered.gzip.unwrap()[..])
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(plain, vec![b'a'; 5000]);
    }
}
