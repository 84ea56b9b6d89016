//! The wire of the fake Bootstrap.

use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bcm_core::digest::Sha256;
use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Asked, FakeKernel, Fault, Shared, State, pause};

/// How much is sent between two pauses.
const PIECE: usize = 64 * 1024;

pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that went away is its own business.
            let _ = connection(stream, &shared).await;
        });
    }
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// `bytes=N-`
    fn from(&self) -> Option<u64> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// What is announced: by default, as much as there is.
    length: Option<u64>,
    announce: bool,
    close: bool,
}

impl Answer {
    fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
            length: None,
            announce: true,
            close: false,
        }
    }
}

/// Writes `bytes`, or as many of them as may be sent; then this waits for ever.
async fn send(stream: &mut TcpStream, bytes: &[u8], shared: &Shared) -> io::Result<()> {
    let may = shared.may_send(bytes.len());
    stream.write_all(&bytes[..may]).await?;
    match may == bytes.len() {
        true => Ok(()),
        false => std::future::pending().await,
    }
}

async fn connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_head(&mut stream, &mut buffer).await? {
        let (answer, rate) = {
            let mut state = shared.state();
            let answer = answer(&mut state, &request);
            state.log.push(Asked {
                method: request.method.clone(),
                path: request.path.clone(),
                status: answer.as_ref().map_or(0, |answer| answer.status),
                from: request.from(),
            });
            (answer, state.rate)
        };
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        if answer.announce {
            let length = answer.length.unwrap_or(answer.body.len() as u64);
            head += &format!("Content-Length: {length}\r\n");
        }
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        send(&mut stream, (head + "\r\n").as_bytes(), shared).await?;
        if request.method != "HEAD" && answer.status != 304 {
            for piece in answer.body.chunks(PIECE) {
                send(&mut stream, piece, shared).await?;
                if let Some(pause) = pause(piece.len(), rate) {
                    tokio::time::sleep(pause).await;
                }
            }
        }
        if answer.close {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > 64 * 1024 || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let path = first.next().unwrap_or_default().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Some(Request {
        method,
        path,
        headers,
    }))
}

/// The answer; `None` for silence.
fn answer(state: &mut State, request: &Request) -> Option<Answer> {
    let fault = state
        .faults
        .iter_mut()
        .find(|(path, _, left)| *path == request.path && *left > 0)
        .map(|(_, fault, left)| {
            *left -= 1;
            fault.clone()
        });
    let right = |anything| right_answer(state, request, anything);
    Some(match fault {
        None => right(false),
        Some(Fault::Silent) => return None,
        Some(Fault::PartOfAnything) => right(true),
        Some(Fault::Status(status)) => Answer::new(status, "text/html", "<h1>Something</h1>"),
        Some(Fault::Body(kind, body)) => Answer::new(200, kind, body),
        Some(Fault::Redirect(to)) => {
            let mut answer = Answer::new(302, "text/html", "");
            answer.headers.push(("Location", to));
            answer
        }
        Some(Fault::Cut(bytes)) => {
            let mut answer = right(false);
            answer.length = Some(answer.body.len() as u64);
            answer.body.truncate(bytes);
            answer.close = true;
            answer
        }
        Some(Fault::Length(length)) => {
            let mut answer = right(false);
            answer.length = Some(length);
            answer.close = true;
            answer
        }
        Some(Fault::NoLength(bytes)) => {
            let mut answer = right(false);
            answer.announce = false;
            answer.body.truncate(bytes);
            answer.close = true;
            answer
        }
    })
}

fn right_answer(state: &State, request: &Request, anything: bool) -> Answer {
    let listed = || {
        let kernels = state.kernels.iter();
        let mut listed: Vec<_> = kernels
            .filter(|(name, _)| !state.hidden.contains(name))
            .collect();
        listed.sort_by_key(|(_, kernel)| -kernel.time);
        listed
    };
    match request.path.as_str() {
        "/api/images" if state.without_json => Answer::new(404, "text/html", "no"),
        "/api/images" => match &state.index {
            Some(text) => Answer::new(200, "application/json", text.clone()),
            None => {
                let list: Vec<_> = listed()
                    .into_iter()
                    .map(|(name, kernel)| json!({"name": name, "timestamp": kernel.time, "size": "?"}))
                    .collect();
                Answer::new(200, "application/json", json!(list).to_string())
            }
        },
        "/images" => {
            let rows: String = listed()
                .into_iter()
                .map(|(name, _)| format!("<li><a href=\"/kernel/{name}\">{name}</a></li>\n"))
                .collect();
            Answer::new(200, "text/html", format!("<html><ul>{rows}</ul></html>"))
        }
        path => match kernel(state, path) {
            Some(kernel) => file(state, request, kernel, anything),
            None => Answer::new(404, "text/html", "<h1>Not Found</h1>"),
        },
    }
}

fn kernel<'a>(state: &'a State, path: &str) -> Option<&'a FakeKernel> {
    let name = path.strip_prefix("/kernel/")?;
    match name.strip_prefix("net/") {
        Some(link) => {
            let target = state.modes.get(link.strip_suffix(".efi")?)?;
            state.kernels.get(target)
        }
        None => state.kernels.get(name),
    }
}

/// A file with validators, conditions and one range, as upstream's framework does it: the entity tag
/// depends on the path, so a link has another one than its target.
fn file(state: &State, request: &Request, kernel: &FakeKernel, anything: bool) -> Answer {
    let size = kernel.bytes.len() as u64;
    let etag = if state.tags_of_content {
        format!("\"{}\"", Sha256::of(&kernel.bytes))
    } else {
        let path = request.path.bytes().map(u64::from).sum::<u64>();
        format!("\"{}-{size}-{path}\"", kernel.time)
    };
    let time = UNIX_EPOCH + Duration::from_secs(kernel.time.try_into().unwrap_or(0));
    let date = httpdate::fmt_http_date(time);
    let mut answer = Answer::new(200, "application/octet-stream", kernel.bytes.clone());
    answer.headers.push(("ETag", etag.clone()));
    answer.headers.push(("Last-Modified", date.clone()));
    answer.headers.push(("Accept-Ranges", "bytes".to_owned()));
    if request.header("if-none-match") == Some(&etag) {
        answer.status = 304;
        answer.body.clear();
        answer.announce = false;
        return answer;
    }
    let unchanged = request
        .header("if-range")
        .is_none_or(|version| version == etag || version == date);
    if let Some(from) = request.from()
        && (unchanged || anything)
    {
        if from >= size {
            answer.status = 416;
            answer.body.clear();
            return answer;
        }
        answer.status = 206;
        let range = format!("bytes {from}-{}/{size}", size - 1);
        answer.headers.push(("Content-Range", range));
        answer.body = kernel.bytes.slice(usize::try_from(from).unwrap_or(0)..);
    }
    answer
}
