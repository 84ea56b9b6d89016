use bytes::Bytes;

use super::pass::Loops;

fn cursor(number: u64) -> Bytes {
    number.to_be_bytes().to_vec().into()
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
