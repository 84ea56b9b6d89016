//! Snappy's raw block format, byte for byte as the C++ library 1.1.9 writes it.
//!
//! Any snappy text decodes to the same chunk, but a block's key is the hash of what was written,
//! so only the same choices make the same blocks as upstream's writer, which stores share. The
//! crate `snap` makes the choices of older versions of the library. These differ in one thing:
//! how positions are hashed in fragments that are so small that they get a smaller table. So
//! `snap` does the large fragments, and the last one is done here where it is small.

use snap::raw::Encoder;

/// The format is written in fragments of this many bytes, which know nothing of each other.
const FRAGMENT: usize = 64 * 1024;
/// The largest fragment with a table that is smaller than the largest one.
const SMALL_FRAGMENT: usize = 8 * 1024;
/// Bits of a position's hash.
const HASH_BITS: u32 = 14;
/// The smallest table.
const MIN_TABLE: usize = 256;
/// No match begins in the last bytes of a fragment.
const MARGIN: usize = 15;

/// Compresses `plain`, of less than 4 GiB.
pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, snap::Error> {
    let tail = plain.len() % FRAGMENT;
    if tail == 0 || tail > SMALL_FRAGMENT {
        return Encoder::new().compress_vec(plain);
    }
    let (head, tail) = plain.split_at(plain.len() - tail);
    let mut out = Vec::with_capacity(snap::raw::max_compress_len(plain.len()));
    write_varint(plain.len(), &mut out);
    if !head.is_empty() {
        let compressed = Encoder::new().compress_vec(head)?;
        out.extend_from_slice(&compressed[varint_len(head.len())..]);
    }
    compress_fragment(tail, &mut out);
    Ok(out)
}

fn varint_len(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

fn write_varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Compresses one fragment of at most [`SMALL_FRAGMENT`] bytes.
fn compress_fragment(input: &[u8], out: &mut Vec<u8>) {
    let mut table = [0_u16; SMALL_FRAGMENT];
    let mask = input.len().next_power_of_two().max(MIN_TABLE) - 1;
    let table = &mut table[..=mask];
    let slot = |word: u32| (word.wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS)) as usize & mask;

    // Where the bytes begin that are not written yet.
    let mut unwritten = 0;
    let Some(limit) = input.len().checked_sub(MARGIN) else {
        return literal(input, out);
    };
    let mut at = 1;
    'fragment: loop {
        // Look for four bytes that were there before: at every position at first, and in ever
        // larger steps the longer it takes.
        let mut patience = 32;
        let mut candidate = loop {
            let step = patience >> 5;
            patience += step;
            if at + step > limit {
                break 'fragment;
            }
            let word = load(input, at);
            let candidate = std::mem::replace(&mut table[slot(word)], at as u16);
            if load(input, candidate.into()) == word {
                break usize::from(candidate);
            }
            at += step;
        };
        literal(&input[unwritten..at], out);
        // Copies, for as long as one follows the other.
        loop {
            let length = 4 + same_bytes(&input[candidate + 4..], &input[at + 4..]);
            copy(at - candidate, length, out);
            at += length;
            unwritten = at;
            if at >= limit {
                break 'fragment;
            }
            table[slot(load(input, at - 1))] = (at - 1) as u16;
            let word = load(input, at);
            candidate = std::mem::replace(&mut table[slot(word)], at as u16).into();
            if load(input, candidate) != word {
                break;
            }
        }
        at += 1;
    }
    if unwritten < input.len() {
        literal(&input[unwritten..], out);
    }
}

fn load(input: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&input[at..at + 4]);
    u32::from_le_bytes(word)
}

/// How many bytes both begin with.
fn same_bytes(earlier: &[u8], later: &[u8]) -> usize {
    let eights = earlier
        .chunks_exact(8)
        .zip(later.chunks_exact(8))
        .take_while(|(a, b)| a == b)
        .count()
        * 8;
    let rest = earlier[eights..].iter().zip(&later[eights..]);
    eights + rest.take_while(|(a, b)| a == b).count()
}

fn literal(bytes: &[u8], out: &mut Vec<u8>) {
    // Small fragments are not empty, and their lengths fit into two bytes.
    let length = bytes.len().saturating_sub(1);
    if length < 60 {
        out.push((length << 2) as u8);
    } else if length < 256 {
        out.extend_from_slice(&[60 << 2, length as u8]);
    } else {
        out.extend_from_slice(&[61 << 2, length as u8, (length >> 8) as u8]);
    }
    out.extend_from_slice(bytes);
}

fn copy(offset: usize, mut length: usize, out: &mut Vec<u8>) {
    let mut long = |length: usize| {
        out.extend_from_slice(&[
            (2 + ((length - 1) << 2)) as u8,
            offset as u8,
            (offset >> 8) as u8,
        ]);
    };
    // At least four bytes are left for the last copy.
    while length >= 68 {
        long(64);
        length -= 64;
    }
    if length > 64 {
        long(60);
        length -= 60;
    }
    if length < 12 && offset < 2048 {
        out.extend_from_slice(&[
            (1 + ((length - 4) << 2) + (offset >> 3 & 0xe0)) as u8,
            offset as u8,
        ]);
    } else {
        long(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text with repetitions: bytes from a small alphabet, and pieces that come again.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::collection::vec((0_u8..8, 1_usize..300), 1..80);
        (pieces, 0_usize..3).prop_map(|(pieces, fragments)| {
            let mut text = vec![b'x'; fragments * FRAGMENT];
            for (seed, length) in pieces {
                text.extend((0..length).map(|n| seed.wrapping_mul(31) ^ ((n * n) >> 3) as u8));
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_can_be_read(plain in texts()) {
            let compressed = compress(&plain).unwrap();
            prop_assert_eq!(snap::raw::Decoder::new().decompress_vec(&compressed).unwrap(), plain);
        }

        #[test]
        fn noise_can_be_read(plain in prop::collection::vec(any::<u8>(), 1..3000)) {
            let compressed = compress(&plain).unwrap();
            prop_assert_eq!(snap::raw::Decoder::new().decompress_vec(&compressed).unwrap(), plain);
        }
    }

    #[test]
    fn lengths_on_the_edges_can_be_read() {
        for length in (1..80).chain([255, 256, 257, 8191, 8192, 8193, 65535, 65536, 65537, 73728]) {
            for period in [1, 3, 5, 1000] {
                let plain: Vec<u8> = (0..length).map(|n| (n % period) as u8).collect();
                let compressed = compress(&plain).unwrap();
                let read = snap::raw::Decoder::new().decompress_vec(&compressed);
                assert_eq!(read.unwrap(), plain, "{length} {period}");
            }
        }
    }
}
