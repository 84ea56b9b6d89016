//! Downloads.

use std::fs::File;
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED,
};
use hyper::http::response::Builder;
use hyper::{Method, Response, StatusCode};

use super::app::App;
use super::body::{Content, FilePart};
use super::condition::{self, Decision, Validators};
use super::failure::Failure;
use super::response::{self, Asked};
use super::snapshot::Found;
use crate::catalog::local::{FileIdentity, open_flist};

impl App {
    /// Sends the flist `found` under the name that it was asked for.
    pub(super) async fn download(
        &self,
        asked: &Asked<'_>,
        name: &str,
        found: &Found<'_>,
    ) -> Result<Response<Content>, Failure> {
        // The checksum is the entity tag, so that copies on other mirrors have the same one and a
        // download that was cut off here can be resumed there.
        let md5 = self.checksums.of(found).await?;
        let file = self.open(found).await?;
        let identity = found.identity;
        let size = identity.size;
        let validators = Validators {
            etag: format!("\"{md5}\""),
            modified: u64::try_from(identity.modified.seconds).ok(),
        };
        let decision = condition::decide(asked.headers, &validators, size);
        let builder = |status| headers(status, name, &validators);
        let part = |builder: Builder, first: u64, end: u64| {
            let builder = builder
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, end - first);
            let content = if asked.method == Method::HEAD {
                Content::empty()
            } else {
                Content::File(FilePart::new(Arc::clone(&file), identity, first, end))
            };
            response::finish(builder, content)
        };
        Ok(match decision {
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
        })
    }

    /// Opens the file if it still is the one that the snapshot saw.
    async fn open(&self, found: &Found<'_>) -> Result<Arc<File>, Failure> {
        let users = self.watch.layout().users();
        let reference = found.reference.clone();
        let expected: FileIdentity = found.identity;
        self.workers
            .run(move || {
                let (file, identity) = open_flist(&users, &reference.repository, &reference.name)
                    .map_err(|error| Failure::opening(&reference, error))?;
                if identity == expected {
                    Ok(Arc::new(file))
                } else {
                    Err(Failure::Changed)
                }
            })
            .await?
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
            exact.push_str(&bcm_core::digest::to_hex(&[byte]).to_ascii_uppercase());
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
