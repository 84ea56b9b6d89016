//! A mirror of the recorded hub equals the recorded hub.

use bcm_tests::fixtures;
use bcm_tests::mirror::{Mirror, blocks_of};
use bcm_tests::origin::Origin;
use bcm_tests::tree::Tree;
use bcm_tests::wire::{Resp, get};

fn recorded_tree() -> Tree {
    Tree::of_tar(&fixtures::users_tar(), "users")
}

#[test]
fn a_second_sync_does_nothing() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    recorded_tree().assert_same(&mirror.users(), "the published tree");
    let reads = |commands: &std::collections::BTreeMap<String, u64>| {
        let names = ["GET", "MGET"].iter();
        names.filter_map(|name| commands.get(*name)).sum::<u64>()
    };
    assert!(reads(&origin.commands()) > 0);
    mirror.verify().assert_code(0);

    let before = mirror.users();
    origin.forget_counts();
    mirror.sync(&origin, &[]).assert_code(0);
    let requests = origin.requests();
    let files = requests
        .keys()
        .filter(|path| path.ends_with(".flist") && !path.starts_with("/api/"));
    assert_eq!(
        files.collect::<Vec<_>>(),
        [""; 0],
        "nothing is downloaded again"
    );
    assert_eq!(reads(&origin.commands()), 0, "no block is read again");
    before.assert_same(&mirror.users(), "the second sync");
    mirror.assert_nothing_outside();
}

#[test]
fn every_block_is_there() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let served = mirror.serve();
    let (ours, theirs) = (blocks_of(served.zdb), blocks_of(origin.zdb_addr()));
    assert_eq!(theirs.len(), 136);
    assert_eq!(ours.len(), theirs.len());
    for (key, (time, payload)) in theirs {
        let (our_time, our_payload) = &ours[&key];
        assert_eq!(*our_payload, payload, "{key}");
        assert_eq!(
            String::from_utf8_lossy(our_time),
            String::from_utf8_lossy(&time),
            "the time of {key}"
        );
    }
}

/// Headers whose value says something about one server's machine.
fn is_own(name: &str) -> bool {
    name == "ETag"
}

#[test]
fn http_answers_are_the_recorded_ones() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let served = mirror.serve();
    let mut wrong = Vec::new();
    for exchange in fixtures::exchanges() {
        let answer = get(served.http, &exchange.path);
        let path = &exchange.path;
        if answer.status != exchange.status {
            wrong.push(format!(
                "{path}: status {}, recorded {}",
                answer.status, exchange.status
            ));
        }
        let json = exchange.headers["Content-Type"] == "application/json";
        let html = exchange.headers["Content-Type"].starts_with("text/html");
        if json {
            let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
            let mut recorded = parse(&exchange.body());
            // A dangling link has no backend of its own: a server names the one it was given.
            if let Some(forced) = recorded.as_mut().and_then(|r| r.get_mut("backend-forced")) {
                let ours = parse(&answer.body);
                let ours = ours.as_ref().and_then(|ours| ours.get("backend-forced"));
                for field in ["host", "port", "namespace"] {
                    if ours.and_then(|ours| ours.get(field)).is_none() {
                        wrong.push(format!("{path}: no {field}: {}", answer.text()));
                    }
                }
                *forced = ours.cloned().unwrap_or_default();
            }
            if parse(&answer.body) != recorded {
                wrong.push(format!(
                    "{path}:\n  ours     {}\n  recorded {}",
                    answer.text(),
                    String::from_utf8_lossy(&exchange.body())
                ));
            }
        } else if !html && answer.body != exchange.body() {
            wrong.push(format!("{path}: another body"));
        }
        for (name, value) in &exchange.headers {
            let own_text = *name == "Content-Length" && (json || html);
            if is_own(name) || own_text {
                continue;
            }
            let ours = answer.header(name).unwrap_or_default();
            if !ours.eq_ignore_ascii_case(value) {
                wrong.push(format!("{path}: {name}: {ours}, recorded {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn zdb_replies_are_the_recorded_ones() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let served = mirror.serve();
    let mut zdb = Resp::connect(served.zdb);
    let mut wrong = Vec::new();
    for command in fixtures::public_commands() {
        let name = command.command.split(' ').next().expect("a word");
        let reply = zdb.ask(&[command.request()]).remove(0);
        let text = String::from_utf8_lossy(&reply).into_owned();
        match (name, command.reply()) {
            // They tell of a server's life, its clock or its chance.
            ("INFO" | "NSINFO", Some(recorded)) => {
                let fields = |bytes: &[u8]| -> Vec<String> {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    let lines = text.lines().filter_map(|line| line.split_once(": "));
                    lines.map(|(name, _)| name.to_owned()).collect()
                };
                let ours = fields(&reply);
                let missing: Vec<_> = fields(&recorded)
                    .into_iter()
                    .filter(|field| !ours.contains(field))
                    .collect();
                if !missing.is_empty() {
                    wrong.push(format!("{}: without {missing:?}", command.command));
                }
            }
            ("TIME", _) => {
                if !text.starts_with("*2\r\n$10\r\n") {
                    wrong.push(format!("TIME: {text:?}"));
                }
            }
            ("AUTH", Some(recorded)) if recorded.starts_with(b"+") => {
                let challenge = text.trim_end().trim_start_matches('+');
                let hex = challenge.chars().all(|c| c.is_ascii_hexdigit());
                if !hex || challenge.len() != 16 {
                    wrong.push(format!("{}: {text:?}", command.command));
                }
            }
            // A cursor is opaque, and good for the server that gave it.
            ("KEYCUR", _) if text.starts_with("$17\r\n") => {}
            ("SCANX", _) if command.command.starts_with("SCANX 10") => {}
            ("SCAN" | "SCANX" | "RSCAN", None) => {
                if reply.len() != command.reply_len {
                    wrong.push(format!(
                        "{}: {} bytes, recorded {}",
                        command.command,
                        reply.len(),
                        command.reply_len
                    ));
                }
            }
            (_, Some(recorded)) if recorded != reply => wrong.push(format!(
                "{}: {text:?}, recorded {:?}",
                command.command,
                String::from_utf8_lossy(&recorded)
            )),
            (_, Some(_)) => {}
            (_, None) => wrong.push(format!("{}: nothing to compare with", command.command)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
