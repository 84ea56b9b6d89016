use proptest::prelude::*;

use super::*;

#[test]
fn xxtea_agrees_with_the_reference_implementations() {
    // The example that the reference implementations of XXTEA publish.
    let key: [u8; 16] = *b"1234567890\0\0\0\0\0\0";
    let text = "Hello World! 你好，中国！".as_bytes();
    let encrypted = encrypt(text, &key);
    assert_eq!(
        digest::to_hex(&encrypted),
        "427701d42d2b1d0a19d5e4623cce1db19b518bda4dae9eecaaf5fbe9c157bebac81d72fa"
    );
    assert!(decrypt(&encrypted, &key).is_ok_and(|decrypted| decrypted == text));
}

/// The block of a small file, made by the upstream's own writer.
fn recorded() -> (ChunkRef, Vec<u8>) {
    let hash = "f0af63f3cfd67f592fc3cb4426833f47";
    let path = format!(
        "{}/../tests/fixtures/origin-small/blocks/{hash}",
        env!("CARGO_MANIFEST_DIR")
    );
    let key = digest::from_hex("bbc9fbf5c011f046391bf1f3c42b1dfe").unwrap();
    let chunk = ChunkRef {
        hash: hash.parse().unwrap(),
        key: ChunkKey(key.try_into().unwrap()),
    };
    (chunk, std::fs::read(path).unwrap())
}

#[test]
fn a_recorded_block_decodes_and_encodes_to_itself() {
    let (chunk, payload) = recorded();
    let plain = decode(&chunk, &payload).unwrap();
    assert_eq!(plain, b"#!/bin/sh\necho hello\n");
    let (again, block) = encode(&plain, 0).unwrap();
    assert_eq!(again, chunk);
    assert_eq!(block.payload(), &payload);
}

#[test]
fn another_key_is_refused() {
    let (mut chunk, payload) = recorded();
    chunk.key.0[3] ^= 1;
    let error = decode(&chunk, &payload).unwrap_err();
    assert!(error.to_string().contains("f0af63f3"), "{error}");
    assert!(
        !format!("{chunk:?}").contains("bbc9"),
        "a key showed itself"
    );
}

#[test]
fn what_is_not_a_chunk_is_refused() {
    assert!(matches!(encode(&[], 0), Err(EncodeError::Empty)));
    let large = vec![0; CHUNK_SIZE + 1];
    assert!(matches!(encode(&large, 0), Err(EncodeError::TooLarge(_))));
}

#[test]
fn a_block_that_decompresses_to_too_much_is_refused_before_it_does() {
    // A snappy text that says it has 4 GiB - 1, encrypted and hashed as it should be.
    let key = ChunkKey([7; 16]);
    let payload = encrypt(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], &key.0);
    let chunk = ChunkRef {
        hash: BlockKey::of(&payload),
        key,
    };
    let error = decode(&chunk, &payload).unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::TooLarge {
                size: 0xffff_ffff,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_key_with_zero_bytes_is_used_whole() {
    let one = encrypt(b"some text", &[0; 16]);
    let mut key = [0; 16];
    key[15] = 1;
    assert_ne!(one, encrypt(b"some text", &key));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_chunk_survives_a_round_trip(plain in prop::collection::vec(any::<u8>(), 1..2000)) {
        let (chunk, block) = encode(&plain, 1).unwrap();
        prop_assert!(chunk.hash.verifies(block.payload()));
        prop_assert_eq!(decode(&chunk, block.payload()).unwrap(), plain);
    }

    #[test]
    fn no_payload_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..600), key: [u8; 16]) {
        let chunk = ChunkRef { hash: BlockKey::of(&payload), key: ChunkKey(key) };
        prop_assert!(decode(&chunk, &payload).is_err());
    }

    #[test]
    fn no_compressed_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 1..600), key: [u8; 16]) {
        let payload = encrypt(&text, &key);
        let chunk = ChunkRef { hash: BlockKey::of(&payload), key: ChunkKey(key) };
        prop_assert!(decode(&chunk, &payload).is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed(plain in prop::collection::vec(any::<u8>(), 1..600), at: prop::sample::Index, bit in 0_u8..8) {
        let (chunk, block) = encode(&plain, 1).unwrap();
        let mut payload = block.payload().to_vec();
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        prop_assert!(decode(&chunk, &payload).is_err());
    }
}
