//! Bytes that were damaged at random.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One thing that happens to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
}

/// Anything that may happen to bytes.
pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let nasty: Vec<&'static [u8]> = vec![
        b"../",
        b"\"",
        b"\\u0000",
        b"/",
        b"[",
        b"{",
        b"}",
        b"null",
        b"-1",
        b"1e999",
        b".tag-",
        b"99999999999999999999",
        b"\r\n",
        b"$-2\r\n",
        b"*9999999\r\n",
        b"\xff\xfe",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (any::<Index>(), select(nasty)).prop_map(|(at, text)| Damage::Insert(at, text.to_vec())),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

/// `bytes` after all of `damages`.
pub(crate) fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Insert(at, text) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, text.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(bytes.len());
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}
