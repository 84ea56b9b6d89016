use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn decode_all(
    bytes: &[u8],
    pieces: &[usize],
    limits: ReplyLimits,
) -> (Vec<Reply>, Option<RespError>) {
    let mut decoder = ReplyDecoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut replies = Vec::new();
    let mut rest = bytes;
    let mut sizes = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
        buffer.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

/// What a request decoder makes of bytes: for each request its arguments with their lengths.
type Requests = Vec<Vec<(Vec<u8>, usize)>>;

fn decode_requests(bytes: &[u8], pieces: &[usize]) -> (Requests, Option<RespError>) {
    let mut decoder = RequestDecoder::default();
    let mut buffer = BytesMut::new();
    let mut requests = Vec::new();
    let mut rest = bytes;
    let mut sizes = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
        buffer.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(request)) => requests.push(
                    request
                        .arguments()
                        .map(|a| (a.bytes.to_vec(), a.length))
                        .collect(),
                ),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn reply_error(bytes: &[u8]) -> RespError {
    decode_all(bytes, &[], ReplyLimits::default()).1.unwrap()
}

#[test]
fn every_kind_of_reply() {
    let bytes = b"+OK\r\n-No\x07 more\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n\
        *2\r\n$1\r\nc\r\n*1\r\n*2\r\n:1\r\n+x\r\n";
    let (replies, error) = decode_all(bytes, &[1], ReplyLimits::default());
    assert_eq!(error, None);
    assert_eq!(
        replies,
        [
            Reply::Status("OK".into()),
            Reply::Error("No? more".into()),
            Reply::Integer(-42),
            Reply::Bulk(Bytes::from_static(b"a\r\n")),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(vec![]),
            Reply::Bulk(Bytes::new()),
            Reply::Array(vec![
                Reply::Bulk(Bytes::from_static(b"c")),
                Reply::Array(vec![Reply::Array(vec![
                    Reply::Integer(1),
                    Reply::Status("x".into())
                ])])
            ]),
        ]
    );
}

#[test]
fn garbage_and_excess_are_named() {
    assert_eq!(
        reply_error(b"HTTP/1.1 400\r\n"),
        RespError::UnknownType(b'H')
    );
    assert_eq!(reply_error(b"+OK\n"), RespError::MissingLineEnd);
    assert_eq!(reply_error(b"\r\n"), RespError::UnknownType(b'\r'));
    assert_eq!(reply_error(b"$3\r\nabcde"), RespError::MissingLineEnd);
    for number in ["", "-", "1x", "+1", " 1", "99999999999999999999", "1\0"] {
        let bytes = format!(":{number}\r\n");
        assert_eq!(
            reply_error(bytes.as_bytes()),
            RespError::NotANumber,
            "{bytes}"
        );
    }
    assert_eq!(reply_error(b"$-2\r\n"), RespError::NotANumber);
    assert_eq!(reply_error(&[b'+'; 1100]), RespError::LineTooLong);
    assert!(matches!(
        reply_error(b"$8388609\r\n"),
        RespError::BulkTooLarge {
            length: 8_388_609,
            ..
        }
    ));
    assert!(matches!(
        reply_error(b"*9223372036854775807\r\n"),
        RespError::TooManyItems { .. }
    ));
    assert!(matches!(
        reply_error(&b"*1\r\n".repeat(9)),
        RespError::TooDeep { most: 4 }
    ));
    let limits = ReplyLimits {
        frame: 100,
        ..ReplyLimits::default()
    };
    let bytes = [
        b"*9\r\n".to_vec(),
        b"$40\r\n".to_vec(),
        vec![b'x'; 40],
        b"\r\n$90\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(
        decode_all(&bytes, &[], limits).1,
        Some(RespError::FrameTooLarge { most: 100 })
    );
}

#[test]
fn the_smallest_and_largest_number() {
    for number in [i64::MIN, -1, 0, i64::MAX] {
        let mut out = BytesMut::new();
        write_integer(&mut out, number);
        assert_eq!(out, format!(":{number}\r\n").as_bytes());
        let (replies, _) = decode_all(&out, &[], ReplyLimits::default());
        assert_eq!(replies, [Reply::Integer(number)]);
    }
}

#[test]
fn the_largest_payload_is_taken_in_pieces() {
    let mut out = BytesMut::new();
    write_bulk(&mut out, &vec![7; crate::store::MAX_PAYLOAD]);
    let (replies, error) = decode_all(&out, &[65_536], ReplyLimits::default());
    assert_eq!(error, None);
    assert!(matches!(&replies[..], [Reply::Bulk(b)] if b.len() == crate::store::MAX_PAYLOAD));
}

#[test]
fn an_announced_length_allocates_nothing() {
    let mut decoder = RequestDecoder::default();
    let mut buffer = BytesMut::from(&b"*1024\r\n$8388608\r\nx"[..]);
    assert!(decoder.decode(&mut buffer).unwrap().is_none());
    assert!(decoder.capacity() < 2048);
}

#[test]
fn what_is_no_request_is_named() {
    for (bytes, expected) in [
        (&b"PING\r\n"[..], RespError::NotAnArray),
        (b"\r\n", RespError::NotAnArray),
        (b"*-1\r\n", RespError::NotAnArray),
        (b"*0\r\n", RespError::NoArguments),
        (b"*1025\r\n", RespError::TooManyItems { most: 1024 }),
        (b"*1\r\n+PING\r\n", RespError::NotABulk),
        (b"*1\r\n$-1\r\n", RespError::NotABulk),
        (b"*1\r\n$4\r\nPINGxx", RespError::MissingLineEnd),
        (
            b"*1\r\n$8388609\r\n",
            RespError::BulkTooLarge {
                length: 8_388_609,
                most: 8_388_608,
            },
        ),
    ] {
        assert_eq!(decode_requests(bytes, &[]).1, Some(expected));
    }
    let two_blocks = [
        b"*3\r\n$8388608\r\n".to_vec(),
        vec![0; 8_388_608],
        b"\r\n$8388608\r\n".to_vec(),
    ]
    .concat();
    assert!(matches!(
        decode_requests(&two_blocks, &[100_000]).1,
        Some(RespError::FrameTooLarge { .. })
    ));
}

#[test]
fn a_long_argument_is_skipped_not_kept() {
    let long = vec![b'v'; 100_000];
    let mut out = BytesMut::new();
    write_request(&mut out, &[b"SET", b"k", &long]);
    write_request(&mut out, &[b"PING"]);
    let (requests, error) = decode_requests(&out, &[4096]);
    assert_eq!(error, None);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0][2], (vec![b'v'; 256], 100_000));
    assert_eq!(requests[1], [(b"PING".to_vec(), 4)]);
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[ -~]{0,30}".prop_map(Reply::Status),
        "[ -~]{0,30}".prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|b| Reply::Bulk(b.into())),
        Just(Reply::Nil),
    ];
    leaf.prop_recursive(3, 40, 6, |inner| {
        proptest::collection::vec(inner, 0..6).prop_map(Reply::Array)
    })
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1_usize..40, 1..10)
}

proptest! {
    #[test]
    fn what_is_written_is_read(replies in proptest::collection::vec(any_reply(), 1..6), pieces in pieces()) {
        let mut out = BytesMut::new();
        replies.iter().for_each(|reply| reply.write(&mut out));
        let (read, error) = decode_all(&out, &pieces, ReplyLimits::default());
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, replies);
    }

    #[test]
    fn written_requests_are_read(
        requests in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8), 1..5),
        pieces in pieces(),
    ) {
        let mut out = BytesMut::new();
        for request in &requests {
            let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            write_request(&mut out, &arguments);
        }
        let expected: Requests = requests.iter().map(|request| request.iter()
            .map(|a| (a[..a.len().min(256)].to_vec(), a.len())).collect()).collect();
        prop_assert_eq!(decode_requests(&out, &pieces), (expected, None));
    }

    #[test]
    fn noise_never_panics_and_pieces_do_not_matter(
        noise in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b"+-:$*\r\n019".to_vec())], 0..200),
        pieces in pieces(),
    ) {
        let whole = decode_all(&noise, &[], ReplyLimits::default());
        prop_assert_eq!(decode_all(&noise, &pieces, ReplyLimits::default()), whole);
        let whole = decode_requests(&noise, &[]);
        prop_assert_eq!(decode_requests(&noise, &pieces), whole);
    }

    #[test]
    fn a_flipped_bit_never_panics_nor_takes_more_than_allowed(
        replies in proptest::collection::vec(any_reply(), 1..6),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..8), 1..6),
    ) {
        let mut out = BytesMut::new();
        replies.iter().for_each(|reply| reply.write(&mut out));
        for (index, bit) in flips {
            let at = index.index(out.len());
            out[at] ^= 1 << bit;
        }
        let (read, _) = decode_all(&out, &[7], ReplyLimits::default());
        let mut taken = BytesMut::new();
        read.iter().for_each(|reply| reply.write(&mut taken));
        // Text may grow where bytes that are no UTF-8 are replaced; nothing else may.
        prop_assert!(taken.len() <= out.len() * 3);
        drop(decode_requests(&out, &[7]));
    }
}
