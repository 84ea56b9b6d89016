//! The plainest clients there are: HTTP and RESP over a socket, without any of BCM's code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing on loopback takes longer unless something hangs.
const DEADLINE: Option<Duration> = Some(Duration::from_secs(30));

/// An HTTP answer as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code; 0 where the server closed the connection without an answer.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request and reads until the server closes. `headers` are whole lines.
#[track_caller]
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(DEADLINE).expect("timeout");
    let path = path.replace(' ', "%20");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("write");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("read");
    answered(bytes)
}

fn answered(mut bytes: Vec<u8>) -> Response {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Response {
            status: 0,
            head: String::new(),
            body: bytes,
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
    let status = head[9..12].parse().expect("a status");
    let body = bytes.split_off(end + 4);
    Response { status, head, body }
}

/// Sends one request with a body and reads until the server closes. `headers` are whole lines.
#[track_caller]
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(DEADLINE).expect("timeout");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\
         {headers}\r\n"
    )
    .expect("write");
    // A server that refuses a body may close before it has read it.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    answered(bytes)
}

/// A GET without further headers.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, "")
}

/// A connection to a 0-db.
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(DEADLINE).expect("timeout");
        stream.set_nodelay(true).expect("no delay");
        let stream = BufReader::new(stream);
        Self { stream }
    }

    /// Sends requests in one go, bytes as given, and reads as many replies, bytes as they came.
    #[track_caller]
    pub fn ask<R: AsRef<[u8]>>(&mut self, requests: &[R]) -> Vec<Vec<u8>> {
        let bytes: Vec<u8> = requests.iter().flat_map(|r| r.as_ref().to_vec()).collect();
        self.stream.get_mut().write_all(&bytes).expect("write");
        requests.iter().map(|_| self.reply()).collect()
    }

    /// Gives one command and reads its reply.
    #[track_caller]
    pub fn command(&mut self, arguments: &[&[u8]]) -> Vec<u8> {
        self.ask(&[encoded(arguments)]).remove(0)
    }

    /// The block `key`, or `None` where the server says nil.
    #[track_caller]
    pub fn block(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let reply = self.command(&[b"GET", key]);
        if reply == b"$-1\r\n" {
            return None;
        }
        let start = reply
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line")
            + 1;
        assert_eq!(reply[0], b'$', "{:?}", String::from_utf8_lossy(&reply));
        Some(reply[start..reply.len() - 2].to_vec())
    }

    #[track_caller]
    fn reply(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.stream.read_until(b'\n', &mut bytes).expect("a line");
        assert!(read > 0, "the server closed the connection");
        let number = || -> i64 {
            let digits = String::from_utf8_lossy(&bytes[1..bytes.len() - 2]).into_owned();
            digits.parse().expect("a number")
        };
        match bytes[0] {
            b'$' if number() >= 0 => {
                let mut payload = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut payload).expect("a payload");
                bytes.extend(payload);
            }
            b'*' => {
                for _ in 0..number() {
                    let item = self.reply();
                    bytes.extend(item);
                }
            }
            _ => {}
        }
        bytes
    }
}

/// Every key that a 0-db lists, in its order.
#[track_caller]
pub fn scan(connection: &mut Resp) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let mut scan: Vec<&[u8]> = vec![b"SCANX"];
        scan.extend(cursor.as_deref());
        let page = connection.command(&scan);
        if page == b"-No more data\r\n" {
            return keys;
        }
        let mut rest = &page[..];
        assert_eq!(line(&mut rest), b"*2");
        let next = bulk(&mut rest);
        assert_ne!(cursor, Some(next.clone()), "the scan stands still");
        cursor = Some(next);
        assert_eq!(line(&mut rest)[0], b'*');
        while !rest.is_empty() {
            assert_eq!(line(&mut rest), b"*3");
            keys.push(bulk(&mut rest));
            assert_eq!(line(&mut rest)[0], b':', "the size");
            assert_eq!(line(&mut rest)[0], b':', "the time");
        }
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest
        .windows(2)
        .position(|two| two == b"\r\n")
        .expect("a line");
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    line
}

fn bulk(rest: &mut &[u8]) -> Vec<u8> {
    let length = String::from_utf8_lossy(&line(rest)[1..]).into_owned();
    let length: usize = length.parse().expect("a length");
    let bytes = rest[..length].to_vec();
    *rest = &rest[length + 2..];
    bytes
}

/// A command as an array of bulk strings.
pub fn encoded<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        request.extend(format!("${}\r\n", argument.len()).into_bytes());
        request.extend(argument);
        request.extend(b"\r\n");
    }
    request
}
