//! Takes an uploaded file: into a file as it comes, so that memory does not grow with it.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyDataStream;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use multer::{Field, Multipart};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::options::PublishOptions;
use super::refusal::Refusal;

/// What the form's other fields and its own words may take beside the file.
const FORM_BYTES: u64 = 1 << 20;
/// The most of a form that is read before it says which field it is.
const UNREAD_BYTES: usize = 256 << 10;
/// Fields of metadata.
const MAX_FIELDS: usize = 32;
/// Bytes of one of these, and of its name.
const FIELD_BYTES: usize = 64 << 10;
/// What the fields of metadata begin with.
const METADATA: &str = "metadata-";

/// What was uploaded.
#[derive(Debug)]
pub(super) struct Uploaded {
    /// The name that the client gives the file.
    pub(super) name: String,
    /// Metadata that is to be written into an flist that is packed.
    pub(super) metadata: Vec<(String, String)>,
}

/// Takes the field `file` of a form into the new file `into`.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Incoming,
    into: &Path,
    options: &PublishOptions,
) -> Result<Uploaded, Refusal> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|text| multer::parse_boundary(text).ok());
    let boundary = boundary.ok_or_else(|| {
        Refusal::bad("an upload is a form of the type multipart/form-data with a field `file`")
    })?;
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let said: Option<u64> = said.and_then(|text| text.parse().ok());
    if said.is_some_and(|said| said > options.upload_bytes.saturating_add(FORM_BYTES)) {
        return Err(too_large(options));
    }
    let deadline = options.upload_timeout;
    match timeout(deadline, form(boundary, body, into, options)).await {
        Ok(received) => received,
        Err(_) => Err(too_slow("did not end", deadline)),
    }
}

fn too_large(options: &PublishOptions) -> Refusal {
    let text = format!("the upload has more than {} bytes", options.upload_bytes);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn too_slow(what: &str, after: Duration) -> Refusal {
    let text = format!("the upload {what} in {} s", after.as_secs_f64());
    Refusal::new(StatusCode::REQUEST_TIMEOUT, text)
}

async fn form(
    boundary: String,
    body: Incoming,
    into: &Path,
    options: &PublishOptions,
) -> Result<Uploaded, Refusal> {
    let unread = Arc::new(AtomicUsize::new(0));
    let paced = Paced {
        body: BodyDataStream::new(body),
        unread: Arc::clone(&unread),
        pause: false,
    };
    let mut form = Multipart::new(paced, boundary);
    let silence = options.upload_silence;
    let mut name = None;
    let mut metadata = Vec::new();
    loop {
        let next = timeout(silence, form.next_field()).await;
        let next = next.map_err(|_| too_slow("said nothing", silence))?;
        let Some(mut field) = next.map_err(|error| broken(&error))? else {
            break;
        };
        unread.store(0, Ordering::Relaxed);
        let mut reader = Reader {
            field: &mut field,
            unread: &unread,
            silence,
        };
        match reader.field.name() {
            Some("file") if name.is_none() => {
                let given = reader.field.file_name().unwrap_or_default().to_owned();
                reader.save(into, options).await?;
                name = Some(given);
            }
            other => {
                let key = other.unwrap_or_default().to_owned();
                let value = reader.small().await?;
                if let Some(key) = key.strip_prefix(METADATA)
                    && !key.is_empty()
                {
                    if metadata.len() >= MAX_FIELDS || key.len() > FIELD_BYTES {
                        return Err(Refusal::bad("the form has too much metadata"));
                    }
                    metadata.push((key.to_owned(), value));
                }
            }
        }
    }
    match name {
        None => Err(Refusal::bad("no file found")),
        Some(name) if name.is_empty() => Err(Refusal::bad("no file selected")),
        Some(name) => Ok(Uploaded { name, metadata }),
    }
}

fn broken(error: &multer::Error) -> Refusal {
    let text = match error {
        multer::Error::StreamReadFailed(_) => {
            "the upload ended too early, or is no form".to_owned()
        }
        error => format!("the form cannot be read: {error}"),
    };
    Refusal::bad(text)
}

/// Reads one field, piece by piece.
struct Reader<'a, 'f> {
    field: &'a mut Field<'f>,
    unread: &'a AtomicUsize,
    silence: Duration,
}

impl Reader<'_, '_> {
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        let piece = timeout(self.silence, self.field.chunk()).await;
        let piece = piece.map_err(|_| too_slow("said nothing", self.silence))?;
        self.unread.store(0, Ordering::Relaxed);
        piece.map_err(|error| broken(&error))
    }

    /// Writes the field into a file.
    async fn save(&mut self, into: &Path, options: &PublishOptions) -> Result<(), Refusal> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Refusal::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "this hub has no room left",
            ),
            _ => Refusal::inner("the upload could not be kept", &error),
        };
        let mut file = tokio::fs::File::create_new(into).await.map_err(failed)?;
        let mut left = options.upload_bytes;
        while let Some(piece) = self.piece().await? {
            let less = left.checked_sub(piece.len() as u64);
            left = less.ok_or_else(|| too_large(options))?;
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }

    /// The field as a short text.
    async fn small(&mut self) -> Result<String, Refusal> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > FIELD_BYTES {
                return Err(Refusal::bad("a field of the form is too long"));
            }
        }
        String::from_utf8(bytes).map_err(|_| Refusal::bad("a field of the form is not UTF-8"))
    }
}

/// The body, a piece at a time. The reader of forms takes all that is ready into its memory before it
/// looks at it, so after each piece this says that nothing is, once; and it ends what is read on and
/// on without becoming a field.
struct Paced {
    body: BodyDataStream<Incoming>,
    unread: Arc<AtomicUsize>,
    pause: bool,
}

/// The form has words without end where a field should begin.
#[derive(Debug, thiserror::Error)]
#[error("it says too much before a field")]
struct Endless;

impl Stream for Paced {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match ready!(Pin::new(&mut this.body).poll_next(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(piece)) => piece,
        };
        this.pause = true;
        let unread = this.unread.fetch_add(piece.len(), Ordering::Relaxed);
        match unread > UNREAD_BYTES {
            true => Poll::Ready(Some(Err(Endless.into()))),
            false => Poll::Ready(Some(Ok(piece))),
        }
    }
}
