use bytes::Bytes;

use super::pass::{Loops, is_endless};

fn cursor(number: u64) -> Bytes {
    number.to_be_bytes().to_vec().into()
}

#[test]
fn a_scan_without_an_end_is_noticed_whatever_the_source_says_of_itself() {
    const MILLION: u64 = 1_000_000;
    for total in [None, Some(76), Some(u64::MAX)] {
        assert!(is_endless(10 * MILLION, total, 76), "{total:?}");
        assert!(!is_endless(100, total, 76), "{total:?}");
    }
    for total in [None, Some(50 * MILLION)] {
        assert!(!is_endless(60 * MILLION, total, 50 * MILLION), "{total:?}");
    }
    // Most of it cannot be had from there.
    assert!(!is_endless(2 * MILLION, Some(2 * MILLION), MILLION / 4));
}

#[test]
fn a_circle_of_any_length_is_noticed_and_a_long_way_is_none() {
    for length in [1, 2, 3, 7, 64, 1000] {
        for before in [0, 1, 5, 100] {
            let mut loops = Loops::default();
            let mut pages = 0;
            let noticed = (0..before)
                .map(|number| 1_000_000 + number)
                .chain((0..length).cycle())
                .inspect(|_| pages += 1)
                .take(100_000)
                .any(|number| loops.note(&cursor(number)).is_err());
            assert!(noticed, "{before} and then a circle of {length}");
            assert!(
                pages <= 4 * (before + length) + 4,
                "{pages} pages for {before}, {length}"
            );
        }
    }
    let mut loops = Loops::default();
    assert!((0..100_000).all(|number| loops.note(&cursor(number)).is_ok()));
}
