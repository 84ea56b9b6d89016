//! The wire of the fake 0-db.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Shared;
use super::blocks::Blocks;
use super::fault::BlockFault;

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

async fn connection(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut replies = 0_u64;
    while let Some(arguments) = read_command(&mut stream).await? {
        let mut pauses = shared.pauses.subscribe();
        let (reply, pause, hangup_after) = shared.zdb(&arguments);
        if hangup_after.is_some_and(|most| replies >= most) {
            return Ok(());
        }
        replies += 1;
        if !pause.is_zero() {
            let _ = tokio::time::timeout(pause, pauses.changed()).await;
        }
        match reply {
            Reply::Bytes(bytes) => stream.write_all(&bytes).await?,
            Reply::ThenClose(bytes) => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await?;
                return Ok(());
            }
            Reply::WhenSet(wait) => {
                let mut sets = shared.sets.subscribe();
                let set = tokio::time::timeout(wait, sets.changed()).await;
                let answer = match set {
                    Ok(_) => b"+SET\r\n".to_vec(),
                    Err(_) => error("Timeout"),
                };
                stream.write_all(&answer).await?;
            }
            Reply::Zeros(size) => {
                stream.write_all(format!("${size}\r\n").as_bytes()).await?;
                let zeros = vec![0; 64 * 1024];
                let mut left = size;
                while left > 0 {
                    let piece = left.min(zeros.len() as u64);
                    stream.write_all(&zeros[..piece as usize]).await?;
                    left -= piece;
                }
                stream.write_all(b"\r\n").await?;
            }
            Reply::Never => {
                let mut nothing = [0; 4096];
                while matches!(stream.read(&mut nothing).await, Ok(n) if n > 0) {}
                return Ok(());
            }
        }
    }
    Ok(())
}

pub(crate) async fn read_command(
    stream: &mut BufReader<TcpStream>,
) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some(count) = read_number(stream, b'*').await? else {
        return Ok(None);
    };
    let mut arguments = Vec::new();
    for _ in 0..count.min(1024) {
        let Some(length) = read_number(stream, b'$').await? else {
            return Ok(None);
        };
        let mut argument = vec![0; length + 2];
        stream.read_exact(&mut argument).await?;
        argument.truncate(length);
        arguments.push(argument);
    }
    Ok(Some(arguments))
}

async fn read_number(stream: &mut BufReader<TcpStream>, mark: u8) -> io::Result<Option<usize>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    let number = line
        .strip_prefix(&[mark])
        .and_then(|line| line.strip_suffix(b"\r\n"))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Ok(number)
}

/// What goes back on the wire.
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    ThenClose(Vec<u8>),
    /// To a `WAIT` of this length.
    WhenSet(Duration),
    Zeros(u64),
    Never,
}

/// The reply to a command from a client that did not log in, or `None` where nothing was recorded
/// of such a command.
pub(crate) fn reply(
    blocks: &Blocks,
    scan_page: usize,
    fault: impl Fn(&[u8]) -> Option<BlockFault>,
    arguments: &[Vec<u8>],
) -> Option<Reply> {
    let (command, rest) = arguments.split_first()?;
    let command = String::from_utf8_lossy(command).to_ascii_uppercase();
    let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    let bytes = match (command.as_str(), rest.as_slice()) {
        ("GET", [key]) => match fault(key) {
            Some(fault) => return Some(faulty(blocks, fault, key)),
            None if key.len() > 255 => error("Invalid key"),
            None => bulk(blocks.get(key).map(|block| &block.payload[..])),
        },
        ("MGET", keys) if !keys.is_empty() => {
            let mut array = format!("*{}\r\n", keys.len()).into_bytes();
            for key in keys {
                match fault(key) {
                    Some(fault) => match faulty(blocks, fault, key) {
                        Reply::Bytes(item) => array.extend(item),
                        // What breaks the connection breaks it here.
                        Reply::ThenClose(item) => {
                            array.extend(item);
                            return Some(Reply::ThenClose(array));
                        }
                        other => return Some(other),
                    },
                    None => array.extend(bulk(blocks.get(key).map(|block| &block.payload[..]))),
                }
            }
            array
        }
        ("EXISTS", [key]) => integer(u64::from(blocks.get(key).is_some())),
        ("CHECK", [key]) => blocks.get(key).map_or_else(nil, |_| integer(1)),
        ("LENGTH", [key]) => match blocks.get(key) {
            Some(block) => integer(block.payload.len() as u64),
            None => nil(),
        },
        ("KEYTIME", [key]) => match blocks.get(key) {
            Some(block) => integer(u64::from(block.timestamp)),
            None => nil(),
        },
        ("KEYCUR", [key]) => match blocks.cursor(key) {
            Some(cursor) => bulk(Some(&cursor)),
            None => error("Key not found"),
        },
        ("SCAN" | "SCANX" | "RSCAN", [] | [_]) => {
            let cursor = rest.first().copied();
            match blocks.scan(cursor, command == "RSCAN", scan_page) {
                Ok(found) => {
                    let last = found.last().and_then(|block| blocks.cursor(&block.key));
                    let mut page = b"*2\r\n".to_vec();
                    page.extend(bulk(last.as_deref()));
                    page.extend(format!("*{}\r\n", found.len()).into_bytes());
                    for block in found {
                        page.extend(b"*3\r\n");
                        page.extend(bulk(Some(&block.key)));
                        page.extend(integer(block.payload.len() as u64));
                        page.extend(integer(u64::from(block.timestamp)));
                    }
                    page
                }
                Err(text) => error(text),
            }
        }
        ("PING", []) => b"+PONG\r\n".to_vec(),
        ("SELECT", [b"default"]) => b"+OK\r\n".to_vec(),
        ("SELECT", [_]) => error("Namespace not found"),
        ("DBSIZE", []) => integer(blocks.len() as u64),
        ("NSLIST", []) => b"*1\r\n$7\r\ndefault\r\n".to_vec(),
        ("NSINFO", [b"default"]) => bulk(Some(namespace_info(blocks).as_bytes())),
        ("INFO", []) => bulk(Some(
            b"# server\nserver_name: 0-db (zdb)\nserver_revision: 2.0.7\n",
        )),
        ("TIME", []) => b"*2\r\n$10\r\n1795308679\r\n$6\r\n512113\r\n".to_vec(),
        ("WAIT", [_, milliseconds]) => {
            let wait = std::str::from_utf8(milliseconds).ok()?.parse().ok()?;
            return Some(Reply::WhenSet(Duration::from_millis(wait)));
        }
        ("SET" | "DEL", [_, ..]) => error("Namespace is in read-only mode"),
        ("AUTH", [_]) => error("Access denied"),
        ("HELLO" | "CLIENT", _) => error("Command not supported"),
        _ => return None,
    };
    Some(Reply::Bytes(bytes))
}

fn faulty(blocks: &Blocks, fault: BlockFault, key: &[u8]) -> Reply {
    match fault {
        BlockFault::Bytes(bytes) => Reply::Bytes(bulk(Some(&bytes))),
        BlockFault::Absent => Reply::Bytes(nil()),
        BlockFault::Oversize(size) => Reply::Zeros(size),
        BlockFault::Garbage => Reply::Bytes(b"\x00\xffHTTP/1.1 400 Bad Request\r\n".to_vec()),
        BlockFault::Error(text) => Reply::Bytes(error(&text)),
        BlockFault::Stall => Reply::Never,
        BlockFault::Cut => {
            let payload = blocks.get(key).map_or(Bytes::new(), |b| b.payload.clone());
            let mut whole = bulk(Some(&payload));
            whole.truncate(whole.len() - 2 - payload.len() / 2);
            Reply::ThenClose(whole)
        }
    }
}

fn namespace_info(blocks: &Blocks) -> String {
    let size = blocks.payload_bytes();
    format!(
        "# namespace\nname: default\nentries: {}\npublic: yes\nworm: no\nlocked: no\npassword: \
         yes\ndata_size_bytes: {size}\nmode: userkey\n",
        blocks.len()
    )
}

fn bulk(bytes: Option<&[u8]>) -> Vec<u8> {
    let Some(bytes) = bytes else {
        return nil();
    };
    let mut reply = format!("${}\r\n", bytes.len()).into_bytes();
    reply.extend(bytes);
    reply.extend(b"\r\n");
    reply
}

fn nil() -> Vec<u8> {
    b"$-1\r\n".to_vec()
}

fn integer(number: u64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

pub(crate) fn error(text: &str) -> Vec<u8> {
    format!("-{text}\r\n").into_bytes()
}
