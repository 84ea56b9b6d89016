//! The wire of the fake hub: HTTP/1.1 by hand, so that it can be as wrong as a test wants.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Shared;
use super::answer::Answer;
use super::fault::HttpFault;

const MAX_HEAD: usize = 64 * 1024;

pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    // They end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
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
        let mut headers = self.headers.iter();
        let found = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

async fn connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_head(&mut stream, &mut buffer).await? {
        let mut pauses = shared.pauses.subscribe();
        let (answer, fault, pause) = shared.http(&request.method, &request.path);
        let _ = tokio::time::timeout(pause, pauses.changed()).await;
        let head_only = request.method == "HEAD";
        let close = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match fault {
            None => send(&mut stream, &conditional(&request, answer), head_only).await?,
            Some(fault) => {
                if !misbehave(&mut stream, fault, answer, head_only).await? {
                    return Ok(());
                }
            }
        }
        if close {
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
        if buffer.len() > MAX_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let path = decoded(first.next().unwrap_or_default());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Some(Request {
        method,
        path,
        headers,
    }))
}

fn decoded(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default().as_bytes();
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let escaped = (path[at] == b'%')
            .then(|| path.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(path[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What upstream's file answers do with `If-None-Match` and one range of bytes.
fn conditional(request: &Request, mut answer: Answer) -> Answer {
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    let etag = header("ETag");
    if answer.status != 200 || etag.is_none() {
        return answer;
    }
    if request.header("if-none-match") == etag.as_deref() {
        answer.status = 304;
        answer.body.clear();
        return answer;
    }
    let whole = answer.body.len();
    let range = request
        .header("range")
        .filter(|_| {
            request
                .header("if-range")
                .is_none_or(|r| Some(r) == etag.as_deref())
        })
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
        .and_then(|(from, to)| {
            let from: usize = from.parse().ok()?;
            let to = if to.is_empty() {
                whole
            } else {
                to.parse::<usize>().ok()? + 1
            };
            (from < to).then_some((from, to.min(whole)))
        });
    if let Some((from, to)) = range {
        if from >= whole {
            answer.status = 416;
            answer.body.clear();
            return answer;
        }
        answer.status = 206;
        answer.body = answer.body.slice(from..to);
        let value = format!("bytes {from}-{}/{whole}", to - 1);
        answer.headers.push(("Content-Range".into(), value));
    }
    answer
}

fn head(answer: &Answer, length: Option<u64>, close: bool) -> String {
    let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    match length {
        Some(length) => text += &format!("Content-Length: {length}\r\n"),
        None => text += "Transfer-Encoding: chunked\r\n",
    }
    text + if close {
        "Connection: close\r\n\r\n"
    } else {
        "\r\n"
    }
}

async fn send(stream: &mut TcpStream, answer: &Answer, head_only: bool) -> io::Result<()> {
    let text = if answer.status == 304 {
        // It has no body, so it says nothing about one.
        head(answer, Some(0), false).replace("Content-Length: 0\r\n", "")
    } else {
        head(answer, Some(answer.body.len() as u64), false)
    };
    stream.write_all(text.as_bytes()).await?;
    if !head_only {
        stream.write_all(&answer.body).await?;
    }
    Ok(())
}

/// Returns whether the connection can go on.
async fn misbehave(
    stream: &mut TcpStream,
    fault: HttpFault,
    mut answer: Answer,
    head_only: bool,
) -> io::Result<bool> {
    let whole = answer.body.len() as u64;
    match fault {
        HttpFault::Answer(other) => send(stream, &other, head_only).await?,
        HttpFault::Json(change) => {
            let mut value: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            change(&mut value);
            answer.status = 200;
            answer.body = value.to_string().into();
            send(stream, &answer, head_only).await?;
        }
        HttpFault::Truncated(bytes) => {
            stream
                .write_all(head(&answer, Some(whole), false).as_bytes())
                .await?;
            stream
                .write_all(&answer.body[..bytes.min(answer.body.len())])
                .await?;
            stream.shutdown().await?;
            return Ok(false);
        }
        HttpFault::WrongLength(length) => {
            stream
                .write_all(head(&answer, Some(length), true).as_bytes())
                .await?;
            stream.write_all(&answer.body).await?;
            stream.shutdown().await?;
            return Ok(false);
        }
        HttpFault::Silent => wait_for_end(stream).await,
        HttpFault::SilentBody => {
            stream
                .write_all(head(&answer, Some(whole.max(1)), false).as_bytes())
                .await?;
            wait_for_end(stream).await;
        }
        HttpFault::Drip(bytes, pause) => {
            stream
                .write_all(head(&answer, Some(whole), false).as_bytes())
                .await?;
            for piece in answer.body.chunks(bytes.max(1)) {
                stream.write_all(piece).await?;
                tokio::time::sleep(pause).await;
            }
        }
        HttpFault::Hangup => return Ok(false),
        HttpFault::EndlessJson => {
            answer.status = 200;
            stream
                .write_all(head(&answer, None, false).as_bytes())
                .await?;
            stream.write_all(b"1\r\n[\r\n").await?;
            let item = "\"x/y.flist\", ".repeat(1000);
            let chunk = format!("{:x}\r\n{item}\r\n", item.len());
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
    }
    Ok(true)
}

async fn wait_for_end(stream: &mut TcpStream) {
    let mut nothing = [0; 256];
    while matches!(stream.read(&mut nothing).await, Ok(n) if n > 0) {}
}
