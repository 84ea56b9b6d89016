//! What a request carries, on its way.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::error::LxdError;
use crate::request::Body;

/// How much of a file is in memory at a time.
const PIECE: usize = 128 << 10;

/// What is sent.
pub(super) struct Carried {
    pub(super) content_type: Option<String>,
    pub(super) length: u64,
    pub(super) bytes: BoxBody<Bytes, io::Error>,
}

pub(super) async fn open(body: Body) -> Result<Carried, LxdError> {
    let (content_type, bytes) = match body {
        Body::File(path) => return of_file(path).await,
        Body::Empty => (None, Bytes::new()),
        Body::Json(bytes) => (Some("application/json".to_owned()), bytes),
        Body::Bytes(bytes) => (Some("application/octet-stream".to_owned()), bytes),
        Body::Multipart(boundary, bytes) => (
            Some(format!("multipart/form-data; boundary={boundary}")),
            bytes,
        ),
    };
    Ok(Carried {
        content_type,
        length: bytes.len() as u64,
        bytes: Full::new(bytes).map_err(|never| match never {}).boxed(),
    })
}

async fn of_file(path: PathBuf) -> Result<Carried, LxdError> {
    let (file, length) = file(&path)
        .await
        .map_err(|source| LxdError::File { path, source })?;
    let pieces = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        // What is appended meanwhile stays behind: its length has been told.
        let got = (&mut file).take(left).read_buf(&mut piece).await?;
        match got {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            )),
            got => Ok(Some((
                Frame::data(piece.freeze()),
                (file, left - got as u64),
            ))),
        }
    });
    Ok(Carried {
        content_type: Some("application/octet-stream".to_owned()),
        length,
        bytes: BodyExt::boxed(StreamBody::new(pieces)),
    })
}

async fn file(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path).await?;
    let about = file.metadata().await?;
    match about.is_file() {
        true => Ok((file, about.len())),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        )),
    }
}
