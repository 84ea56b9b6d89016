//! The fakes are held to the recordings, and their faults are what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;

use super::*;

/// The whole of what a server sends until it closes, and the answer's status and body.
fn fetch(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("connect");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("timeout");
    let path = path.replace(' ', "%20");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("write");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("read");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return (0, String::new(), bytes);
    };
    let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
    let status = head[9..12].parse().expect("a status");
    (status, head, bytes.split_off(end + 4))
}

#[test]
fn replays_every_recorded_answer() {
    let origin = Origin::recorded();
    for exchange in fixtures::exchanges() {
        let (status, head, body) = fetch(origin.http, "GET", &exchange.path, "");
        assert_eq!(status, exchange.status, "{}", exchange.path);
        assert_eq!(body, exchange.body(), "{}", exchange.path);
        for (name, value) in &exchange.headers {
            assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{head}");
        }
    }
    assert_eq!(origin.requests().len(), 57);
}

#[test]
fn a_changed_catalogue_shows_everywhere() {
    let origin = Origin::recorded();
    origin.edit(|users| {
        let content = users.repository("alice.3bot").content("my-app-1.0.flist");
        let repository = users.repository("tf-autobuilder");
        repository.put_file("bootstrap-260101.flist", content, 1_700_000_000);
    });
    let (_, _, body) = fetch(origin.http, "GET", "/api/flist/tf-zos/tags/v3.14.1", "");
    let body = String::from_utf8(body).expect("text");
    assert!(
        body.contains("\"7.06 KB\", \"updated\": 1700000000"),
        "{body}"
    );
    let path = "/tf-autobuilder/bootstrap%3Alatest.flist";
    let (_, head, body) = fetch(origin.http, "GET", path, "Range: bytes=7000-\r\n");
    assert!(
        head.contains("\r\nContent-Range: bytes 7000-7224/7225\r\n"),
        "{head}"
    );
    assert_eq!(body.len(), 225);
}

#[test]
fn what_nobody_scripted_is_remembered() {
    let origin = Origin::recorded();
    assert_eq!(fetch(origin.http, "GET", "/api/nonsense", "").0, 500);
    assert_eq!(fetch(origin.http, "POST", "/api/flist", "").0, 500);
    let reply = ask(
        &origin,
        &[b"*1\r\n$5\r\nFLUSH\r\n", b"*1\r\n$6\r\nNSJUMP\r\n"],
    );
    assert!(reply[0].starts_with(b"-Flushing"), "recorded");
    assert!(reply[1].starts_with(b"-Permission"), "recorded");
    assert_eq!(
        ask(&origin, &[b"*1\r\n$4\r\nNOPE\r\n"])[0],
        b"-Command not supported\r\n"
    );
    assert_eq!(
        origin.take_unexpected(),
        ["GET /api/nonsense", "POST /api/flist", "0-db NOPE"]
    );
}

#[test]
fn faults_are_what_they_say() {
    let origin = Origin::recorded();
    let path = "/tf-zos/zos-production-v3.14.1.flist";
    origin.fault_times("/tf-zos/*", 1, HttpFault::Truncated(100));
    origin.fault_times("*.flist", 1, HttpFault::status(503));
    let (status, _, _) = fetch(origin.http, "GET", path, "");
    assert_eq!(status, 503, "the last one goes first");
    let (_, head, body) = fetch(origin.http, "GET", path, "");
    assert!(head.contains("Content-Length: 1141\r\n"), "{head}");
    assert_eq!(body.len(), 100);
    assert_eq!(fetch(origin.http, "GET", path, "").2.len(), 1141);

    let change = |value: &mut serde_json::Value| value["new"] = serde_json::json!([1]);
    origin.fault("/api/fileslist", HttpFault::json(change));
    let (_, _, body) = fetch(origin.http, "GET", "/api/fileslist", "");
    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(value["new"], serde_json::json!([1]));
    assert!(value["tf-zos"].is_array());

    origin.fault("/api/flist", HttpFault::Hangup);
    assert_eq!(fetch(origin.http, "GET", "/api/flist", "").2, b"");
    origin.heal();
    assert_eq!(fetch(origin.http, "GET", "/api/flist", "").0, 200);
}

/// The replies to `requests`, sent in one go over one connection.
fn ask(origin: &Origin, requests: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(origin.zdb_addr()).expect("connect");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("timeout");
    stream.write_all(&requests.concat()).expect("write");
    let mut reader = BufReader::new(stream);
    requests.iter().map(|_| read_reply(&mut reader)).collect()
}

fn read_reply(reader: &mut impl BufRead) -> Vec<u8> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).expect("read");
    let number = || -> i64 {
        let text = String::from_utf8_lossy(&line[1..line.len() - 2]).into_owned();
        text.parse().expect("a number")
    };
    match line.first() {
        Some(b'$') if number() >= 0 => {
            let mut payload = vec![0; number() as usize + 2];
            reader.read_exact(&mut payload).expect("payload");
            line.extend(payload);
        }
        Some(b'*') => {
            for _ in 0..number() {
                let item = read_reply(reader);
                line.extend(item);
            }
        }
        _ => {}
    }
    line
}

#[test]
fn the_zdb_replies_as_recorded() {
    let commands = fixtures::public_commands();
    let requests: Vec<_> = commands.iter().map(fixtures::Command::request).collect();
    let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
    let replies = ask(&Origin::recorded(), &requests);
    for (command, reply) in commands.iter().zip(replies) {
        if command.command == "WAIT SET 200" {
            assert_eq!(reply, b"-Timeout\r\n");
            continue;
        }
        assert_eq!(reply.len(), command.reply_len, "{}", command.command);
        if let Some(recorded) = command.reply() {
            assert_eq!(reply, recorded, "{}", command.command);
        }
    }
}

/// Replies that are made from the blocks alone equal the recorded ones too.
#[test]
fn the_blocks_give_what_was_recorded() {
    let origin = Origin::recorded();
    origin.edit_blocks(|_| ());
    let made = [
        "GET", "MGET", "EXISTS", "CHECK", "LENGTH", "KEYTIME", "KEYCUR", "SCANX", "SCAN",
    ];
    let made = [
        &made[..],
        &["RSCAN", "DBSIZE", "NSLIST", "SELECT", "SET", "DEL", "PING"],
    ]
    .concat();
    let mut compared = 0;
    for command in fixtures::public_commands() {
        let name = command.command.split(' ').next().expect("a word");
        if !made.contains(&name) || command.command == "GET" {
            continue;
        }
        let reply = ask(&origin, &[&command.request()]).remove(0);
        assert_eq!(reply.len(), command.reply_len, "{}", command.command);
        if let Some(recorded) = command.reply() {
            assert_eq!(reply, recorded, "{}", command.command);
        }
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn scans_page_on() {
    let origin = Origin::recorded();
    origin.scan_page(50);
    origin.edit_blocks(|blocks| blocks.delete(&fixtures::blocks()[49].key_bytes()));
    let mut request = b"*1\r\n$5\r\nSCANX\r\n".to_vec();
    let mut sizes = Vec::new();
    loop {
        let reply = ask(&origin, &[&request]).remove(0);
        if reply == b"-No more data\r\n" {
            break;
        }
        // "*2", "$17", the cursor, and how many.
        let cursor = &reply[9..26];
        let rest = String::from_utf8_lossy(&reply[29..]).into_owned();
        let count = rest.split("\r\n").next().expect("a line").to_owned();
        sizes.push(count.parse::<u32>().expect("a number"));
        request = [b"*2\r\n$5\r\nSCANX\r\n$17\r\n", cursor, b"\r\n"].concat();
    }
    assert_eq!(sizes, [50, 50, 35]);
}

#[test]
fn block_faults_are_what_they_say() {
    let origin = Origin::recorded();
    let key = fixtures::blocks()[0].key.clone();
    let get = [
        b"*2\r\n$3\r\nGET\r\n$16\r\n",
        &fixtures::unhex(&key)[..],
        b"\r\n",
    ]
    .concat();
    origin.block_fault_times(&key, 1, BlockFault::Absent);
    assert_eq!(ask(&origin, &[&get, &get])[0], b"$-1\r\n");
    origin.block_fault(&key, BlockFault::Bytes(Bytes::from_static(b"wrong")));
    assert_eq!(ask(&origin, &[&get])[0], b"$5\r\nwrong\r\n");
    origin.block_fault(&key, BlockFault::Oversize(9 * 1024 * 1024));
    assert_eq!(
        ask(&origin, &[&get])[0].len(),
        "$9437184\r\n".len() + 9 * 1024 * 1024 + 2
    );
    origin.heal();
    assert_eq!(ask(&origin, &[&get])[0].len(), 35);
    assert_eq!(origin.commands()["GET"], 5);
}
