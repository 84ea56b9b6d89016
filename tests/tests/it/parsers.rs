//! Readers of what upstream says, fed with recordings that were damaged at random: whatever comes,
//! they end, and what they accept is safe.

use std::cell::Cell;
use std::path::{Component, Path};

use bcm_core::names::RepoName;
use bcm_hub_sync::catalog::upstream::{Refusals, parse};
use bcm_hub_sync::zdb::resp::{ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits};
use bcm_tests::fixtures;
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use crate::damage::{Damage, damage, damaged};

const NOW: i64 = 1_800_000_000;

/// Recorded bodies that are JSON listings.
fn listings() -> Vec<Vec<u8>> {
    let json = |exchange: &fixtures::Exchange| {
        exchange.headers["Content-Type"] == "application/json" && exchange.path.len() < 40
    };
    let exchanges = fixtures::exchanges();
    exchanges
        .iter()
        .filter(|e| json(e))
        .map(fixtures::Exchange::body)
        .collect()
}

/// Whether `name` stays one step below the folder that it is joined to.
fn is_one_step(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}

fn check_entries(entries: &parse::Entries) -> Result<(), TestCaseError> {
    for (name, entry) in &entries.entries {
        prop_assert!(is_one_step(name.as_str()), "{name}");
        let target = match entry {
            bcm_hub_sync::catalog::Entry::Symlink(link) => link.target.to_string(),
            bcm_hub_sync::catalog::Entry::TagLink(link) => link.target.to_string(),
            _ => continue,
        };
        for part in target.split('/') {
            prop_assert!(is_one_step(part), "{target}");
        }
    }
    for tag in entries.tags.keys() {
        prop_assert!(is_one_step(&format!(".tag-{tag}")), "{tag}");
    }
    Ok(())
}

#[test]
fn damaged_listings_give_only_safe_names() {
    const CASES: u32 = 1000;
    // How many were accepted as each of three listings.
    let accepted = Cell::new([0; 3]);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    });
    let check = |(body, damages): (Vec<u8>, Vec<Damage>)| {
        let body = damaged(body, &damages);
        let mut counts = accepted.get();
        let mut refusals = Refusals::default();
        let home = RepoName::new("home").expect("a name");
        if let Ok(entries) = parse::repository(&body, &home, NOW, &mut refusals) {
            counts[0] += 1;
            check_entries(&entries)?;
        }
        if let Ok(repositories) = parse::fileslist(&body, NOW, &|_| true, &mut refusals) {
            counts[1] += 1;
            for (name, entries) in &repositories {
                prop_assert!(is_one_step(name.as_str()), "{name}");
                check_entries(entries)?;
            }
        }
        if let Ok(repositories) = parse::repositories(&body, NOW, &|_| true, &mut refusals) {
            counts[2] += 1;
            for name in repositories.keys() {
                prop_assert!(is_one_step(name.as_str()), "{name}");
            }
        }
        let _ = parse::light(&body, NOW);
        let _ = parse::md5(&body);
        accepted.set(counts);
        Ok(())
    };
    let inputs = (select(listings()), vec(damage(), 0..8));
    runner.run(&inputs, check).expect("only safe names");
    let some = 1..CASES;
    assert!(
        accepted.get().iter().all(|count| some.contains(count)),
        "{accepted:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// How the network cuts a stream into pieces changes nothing of what is read from it.
    #[test]
    fn requests_read_the_same_in_any_pieces(
        mut requests in vec(select(recorded_requests()), 1..6),
        damages in vec(damage(), 0..3),
        pieces in vec(1..50_usize, 1..20),
    ) {
        let stream = damaged(requests.drain(..).flatten().collect(), &damages);
        let whole = read_requests(&[&stream]);
        prop_assert_eq!(read_requests(&cut(&stream, &pieces)), whole);
    }

    #[test]
    fn replies_read_the_same_in_any_pieces(
        mut replies in vec(select(recorded_replies()), 1..6),
        damages in vec(damage(), 0..3),
        pieces in vec(1..50_usize, 1..20),
    ) {
        let stream = damaged(replies.drain(..).flatten().collect(), &damages);
        let whole = read_replies(&[&stream]);
        prop_assert_eq!(read_replies(&cut(&stream, &pieces)), whole);
    }
}

fn recorded_requests() -> Vec<Vec<u8>> {
    let commands = fixtures::public_commands();
    commands.iter().map(fixtures::Command::request).collect()
}

fn recorded_replies() -> Vec<Vec<u8>> {
    let commands = fixtures::public_commands();
    commands
        .iter()
        .filter_map(fixtures::Command::reply)
        .collect()
}

/// `stream` in pieces of the given lengths, over and over.
fn cut<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn read_requests(pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = RequestDecoder::new(RequestLimits::default());
    let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(request)) => {
                    read.push(format!("{:?}", request.arguments().collect::<Vec<_>>()))
                }
                Ok(None) => break,
                Err(error) => {
                    read.push(error.to_string());
                    return read;
                }
            }
        }
    }
    read
}

fn read_replies(pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => read.push(format!("{reply:?}")),
                Ok(None) => break,
                Err(error) => {
                    read.push(error.to_string());
                    return read;
                }
            }
        }
    }
    read
}
