//! The wire of a 0-db, both sides: any bytes, in two pieces cut anywhere, read as in one.
#![no_main]

use bcm_hub_sync::zdb::resp::{
    Reply, ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits, RespError,
};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fn replies(pieces: &[&[u8]]) -> (Vec<Reply>, Option<RespError>) {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => read.push(reply),
                Ok(None) => break,
                Err(error) => return (read, Some(error)),
            }
        }
    }
    (read, None)
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(replies(&[first, second]), replies(&[bytes]));

    let mut decoder = RequestDecoder::new(RequestLimits::default());
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
});
