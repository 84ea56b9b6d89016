//! A client that does nothing but ask and count.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        Self {
            stream,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// How many bytes the answer's body has, none of which is kept.
    pub fn get(&mut self, path: &str) -> u64 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream
            .write_all(request.as_bytes())
            .expect("it listens");
        let mut filled = 0;
        let head = loop {
            let count = self
                .stream
                .read(&mut self.buffer[filled..])
                .expect("it answers");
            assert_ne!(count, 0, "it closed the connection");
            filled += count;
            let end = self.buffer[..filled]
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{path}: {text}");
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: u64 = length
            .and_then(|digits| digits.parse().ok())
            .expect("a length");
        let mut left = length - (filled - head) as u64;
        while left > 0 {
            let count = self.stream.read(&mut self.buffer).expect("it answers");
            assert_ne!(count, 0, "it closed the connection");
            left -= count as u64;
        }
        length
    }
}
