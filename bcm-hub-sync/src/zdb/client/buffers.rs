//! The memory that replies are received into.
//!
//! Payloads share the buffer that they were read into, so a buffer is free again when the last of them
//! is dropped. To give it back to the system and take another one costs as much as to receive what is
//! in it: every page of it has to be cleared first. So it is used again.

use std::collections::VecDeque;

use bytes::BytesMut;

/// The size of a buffer, in bytes; one that has to hold a longer reply is larger.
const SIZE: usize = 512 * 1024;

/// How many are remembered.
const MOST: usize = 32;

/// Buffers that were filled and whose payloads may still be in use, oldest first.
#[derive(Debug, Default)]
pub(super) struct InputBuffers {
    used: VecDeque<BytesMut>,
}

impl InputBuffers {
    /// Lets `input` have room for `chunk` more bytes behind what is in it.
    pub(super) fn make_room(&mut self, input: &mut BytesMut, chunk: usize) {
        if input.capacity() - input.len() >= chunk {
            return;
        }
        let needed = input.len() + chunk;
        let free = self
            .used
            .iter_mut()
            .position(|buffer| buffer.try_reclaim(needed));
        let mut next = match free.and_then(|at| self.used.remove(at)) {
            Some(free) => free,
            None => BytesMut::with_capacity(needed.max(SIZE)),
        };
        next.extend_from_slice(input);
        let mut full = std::mem::replace(input, next);
        full.clear();
        if self.used.len() == MOST {
            self.used.pop_front();
        }
        self.used.push_back(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_stays_and_memory_is_used_again() {
        let mut buffers = InputBuffers::default();
        let mut input = BytesMut::new();
        let mut places = std::collections::BTreeSet::new();
        for round in 0..200_u8 {
            buffers.make_room(&mut input, 1000);
            places.insert(input.as_ptr() as usize / SIZE);
            input.extend_from_slice(&[round; 1000]);
            // Half of it has not arrived yet, as it were.
            let payload = input.split_to(400).freeze();
            let rest = input.split_to(100);
            assert!(payload.iter().chain(&rest).count() == 500);
            let left = input.to_vec();
            buffers.make_room(&mut input, SIZE - 10_000);
            assert_eq!(input, left);
            assert!(input.capacity() - input.len() >= SIZE - 10_000);
            if input.len() > 5000 {
                input.clear();
            }
        }
        assert!(places.len() < 10, "{places:?}");
    }

    #[test]
    fn what_is_in_use_is_not_written_over() {
        let mut buffers = InputBuffers::default();
        let mut input = BytesMut::new();
        let mut held = Vec::new();
        for round in 0..100_u8 {
            buffers.make_room(&mut input, SIZE);
            input.extend_from_slice(&vec![round; SIZE]);
            held.push(input.split_to(SIZE - 7).freeze());
            let _ = input.split_to(7);
        }
        assert!(buffers.used.len() <= MOST);
        for (payload, round) in held.iter().zip(0_u8..) {
            assert!(payload.iter().all(|byte| *byte == round), "{round}");
        }
    }
}
