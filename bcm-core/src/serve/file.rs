//! Downloads: a file whole, in part, or not at all, as the request's conditions want it.

use std::fs::File;
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED,
};
use hyper::http::response::Builder;
use hyper::{Method, Response, StatusCode};

use super::body::{Content, FilePart};
use super::condition::{self, Decision, Validators};
use super::response::{self, Asked};
use crate::file_identity::FileIdentity;

/// What is to be sent: something that has a size and can be sent in part.
pub trait Source {
    /// Bytes.
    fn size(&self) -> u64;
    /// The bytes from `first` up to, not including, `end`.
    fn part(&self, first: u64, end: u64) -> Content;
}

/// An open file.
#[derive(Debug)]
pub struct OpenFile {
    /// The file; it stays this one while it is sent, whatever happens to its name.
    pub file: Arc<File>,
    /// What it was when it was opened. An answer that finds it written to is broken off.
    pub identity: FileIdentity,
}

impl Source for OpenFile {
    fn size(&self) -> u64 {
        self.identity.size
    }

    fn part(&self, first: u64, end: u64) -> Content {
        let file = Arc::clone(&self.file);
        Content::File(FilePart::new(file, self.identity, first, end))
    }
}

/// A download that was asked for.
#[derive(Debug)]
pub struct Download<'a, S> {
    /// The name that a browser saves it under.
    pub name: &'a str,
    /// Its content type.
    pub content_type: &'static str,
    /// What tells this content from another.
    pub validators: Validators,
    /// The bytes.
    pub source: S,
}

/// Answers with a file: 200, 206, 304, 412 or 416.
#[must_use]
pub fn download(asked: &Asked<'_>, download: &Download<'_, impl Source>) -> Response<Content> {
    let Download {
        name, validators, ..
    } = download;
    let size = download.source.size();
    let decision = condition::decide(asked.headers, validators, size);
    let builder = |status| headers(status, name, validators);
    let part = |builder: Builder, first: u64, end: u64| {
        let builder = builder
            .header(CONTENT_TYPE, download.content_type)
            .header(CONTENT_LENGTH, end - first);
        let content = if asked.method == Method::HEAD {
            Content::empty()
        } else {
            download.source.part(first, end)
        };
        response::finish(builder, content)
    };
    match decision {
        Decision::Whole => part(builder(StatusCode::OK), 0, size),
        Decision::Part(first, last) => {
            let range = format!("bytes {first}-{last}/{size}");
            let builder = builder(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
            part(builder, first, last + 1)
        }
        Decision::RangeNotSatisfiable => response::finish(
            builder(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{size}"))
                .header(CONTENT_LENGTH, 0),
            Content::empty(),
        ),
        Decision::NotModified => {
            response::finish(builder(StatusCode::NOT_MODIFIED), Content::empty())
        }
        Decision::PreconditionFailed => response::finish(
            builder(StatusCode::PRECONDITION_FAILED).header(CONTENT_LENGTH, 0),
            Content::empty(),
        ),
    }
}

fn headers(status: StatusCode, name: &str, validators: &Validators) -> Builder {
    let mut builder = response::start(status)
        .header(CONTENT_DISPOSITION, disposition(name))
        .header(ETAG, &validators.etag)
        .header(ACCEPT_RANGES, "bytes");
    if let Some(modified) = validators.last_modified() {
        builder = builder.header(LAST_MODIFIED, modified);
    }
    builder
}

/// `inline; filename=NAME`, quoted where it has to be (RFC 6266), with the exact name in
/// `filename*` (RFC 8187) where it is not ASCII.
fn disposition(name: &str) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let mut ascii = String::new();
    for c in name.chars().filter(char::is_ascii) {
        if matches!(c, '"' | '\\') {
            ascii.push('\\');
        }
        ascii.push(c);
    }
    if !name.chars().all(token) {
        ascii = format!("\"{ascii}\"");
    }
    if name.is_ascii() {
        return format!("inline; filename={ascii}");
    }
    let mut exact = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            exact.push('%');
            exact.push_str(&crate::digest::to_hex(&[byte]).to_ascii_uppercase());
        }
    }
    format!("inline; filename={ascii}; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, header) in [
            ("base.flist", "inline; filename=base.flist"),
            ("a:b.flist", "inline; filename=\"a:b.flist\""),
            ("a b\"c\\.flist", "inline; filename=\"a b\\\"c\\\\.flist\""),
            (
                "naïve 文.flist",
                "inline; filename=\"nave .flist\"; filename*=UTF-8''na%C3%AFve%20%E6%96%87.flist",
            ),
        ] {
            assert_eq!(disposition(name), header);
        }
    }
}
