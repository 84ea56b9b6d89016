//! The fakes are held to the recordings, and their faults are what they say.

use bytes::Bytes;

use super::*;
use crate::wire::{Resp, encoded, get, request};

#[test]
fn replays_every_recorded_answer() {
    let origin = Origin::recorded();
    for exchange in fixtures::exchanges() {
        let answer = get(origin.http_addr(), &exchange.path);
        assert_eq!(answer.status, exchange.status, "{}", exchange.path);
        assert_eq!(answer.body, exchange.body(), "{}", exchange.path);
        for (name, value) in &exchange.headers {
            assert_eq!(answer.header(name), Some(&**value), "{}", exchange.path);
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
    let tag = get(origin.http_addr(), "/api/flist/tf-zos/tags/v3.14.1").text();
    assert!(
        tag.contains("\"7.06 KB\", \"updated\": 1700000000"),
        "{tag}"
    );
    let path = "/tf-autobuilder/bootstrap%3Alatest.flist";
    let answer = request(origin.http_addr(), "GET", path, "Range: bytes=7000-\r\n");
    assert_eq!(answer.header("content-range"), Some("bytes 7000-7224/7225"));
    assert_eq!(answer.body.len(), 225);
}

#[test]
fn what_nobody_scripted_is_remembered() {
    let origin = Origin::recorded();
    assert_eq!(get(origin.http_addr(), "/api/nonsense").status, 500);
    let post = request(origin.http_addr(), "POST", "/api/flist", "");
    assert_eq!(post.status, 500);
    let mut zdb = Resp::connect(origin.zdb_addr());
    assert!(zdb.command(&[b"FLUSH"]).starts_with(b"-Flushing"));
    assert_eq!(zdb.command(&[b"NOPE"]), b"-Command not supported\r\n");
    assert_eq!(
        origin.take_unexpected(),
        ["GET /api/nonsense", "POST /api/flist", "0-db NOPE"]
    );
}

#[test]
fn faults_are_what_they_say() {
    let origin = Origin::recorded();
    let address = origin.http_addr();
    let path = "/tf-zos/zos-production-v3.14.1.flist";
    origin.fault_times("/tf-zos/*", 1, HttpFault::Truncated(100));
    origin.fault_times("*.flist", 1, HttpFault::status(503));
    assert_eq!(get(address, path).status, 503, "the last one goes first");
    let cut = get(address, path);
    assert_eq!(cut.header("content-length"), Some("1141"));
    assert_eq!(cut.body.len(), 100);
    assert_eq!(get(address, path).body.len(), 1141);

    let change = |value: &mut serde_json::Value| value["new"] = serde_json::json!([1]);
    origin.fault("/api/fileslist", HttpFault::json(change));
    let body = get(address, "/api/fileslist").body;
    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(value["new"], serde_json::json!([1]));
    assert!(value["tf-zos"].is_array());

    origin.fault("/api/flist", HttpFault::Hangup);
    assert_eq!(get(address, "/api/flist").status, 0);
    origin.heal();
    assert_eq!(get(address, "/api/flist").status, 200);
}

#[test]
fn the_zdb_replies_as_recorded() {
    let commands = fixtures::public_commands();
    let requests: Vec<_> = commands.iter().map(fixtures::Command::request).collect();
    let origin = Origin::recorded();
    let replies = Resp::connect(origin.zdb_addr()).ask(&requests);
    for (command, reply) in commands.iter().zip(replies) {
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
        "GET", "MGET", "EXISTS", "CHECK", "LENGTH", "KEYTIME", "KEYCUR", "SCANX", "SCAN", "RSCAN",
        "DBSIZE", "NSLIST", "SELECT", "SET", "DEL", "PING",
    ];
    let mut zdb = Resp::connect(origin.zdb_addr());
    let mut compared = 0;
    for command in fixtures::public_commands() {
        let name = command.command.split(' ').next().expect("a word");
        if !made.contains(&name) || command.command == "GET" {
            continue;
        }
        let reply = zdb.ask(&[command.request()]).remove(0);
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
    let mut zdb = Resp::connect(origin.zdb_addr());
    let mut cursor: Option<Vec<u8>> = None;
    let mut sizes = Vec::new();
    loop {
        let mut scan: Vec<&[u8]> = vec![b"SCANX"];
        scan.extend(cursor.as_deref());
        let page = zdb.command(&scan);
        if page == b"-No more data\r\n" {
            break;
        }
        // "*2", "$17", the cursor, and how many.
        cursor = Some(page[9..26].to_vec());
        let rest = String::from_utf8_lossy(&page[29..]).into_owned();
        sizes.push(rest.split("\r\n").next().expect("a line").to_owned());
    }
    assert_eq!(sizes, ["50", "50", "35"]);
}

#[test]
fn block_faults_are_what_they_say() {
    let origin = Origin::recorded();
    let key = fixtures::blocks()[0].key.clone();
    let get = encoded(&[b"GET", &fixtures::unhex(&key)[..]]);
    let ask = || Resp::connect(origin.zdb_addr()).ask(&[&get]).remove(0);
    origin.block_fault_times(&key, 1, BlockFault::Absent);
    assert_eq!(ask(), b"$-1\r\n");
    assert_eq!(ask().len(), 35);
    origin.block_fault(&key, BlockFault::Bytes(Bytes::from_static(b"wrong")));
    assert_eq!(ask(), b"$5\r\nwrong\r\n");
    origin.block_fault(&key, BlockFault::Oversize(9 * 1024 * 1024));
    assert_eq!(ask().len(), "$9437184\r\n\r\n".len() + 9 * 1024 * 1024);
    origin.heal();
    assert_eq!(ask().len(), 35);
    assert_eq!(origin.commands()["GET"], 5);
}
