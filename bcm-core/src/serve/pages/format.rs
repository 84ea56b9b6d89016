//! Sizes, numbers and dates for people.

use std::cmp::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use maud::{Markup, html};

/// `1,234,567`
#[must_use]
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3 flists`, `1 flist`
#[must_use]
pub fn count(value: usize, one: &str, many: &str) -> String {
    let noun = if value == 1 { one } else { many };
    format!("{} {noun}", number(value as u64))
}

/// A cell with a number, whose unit shows where the column's heading does not; empty for none.
#[must_use]
pub fn counted(value: usize, one: &str, many: &str) -> Markup {
    let unit = if value == 1 { one } else { many };
    html! {
        td.num data-unit=[(value > 0).then_some(unit)] {
            @if value > 0 { (number(value as u64)) }
        }
    }
}

/// `3.4 KiB`
#[must_use]
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths of the unit, rounded, so that 1023.6 KiB becomes 1.0 MiB.
    let mut unit = 0;
    let mut divisor: u128 = 1024;
    loop {
        let tenths = (u128::from(bytes) * 10 + divisor / 2) / divisor;
        if tenths < 10_235 || unit + 1 == UNITS.len() {
            let name = UNITS[unit];
            return if tenths < 1000 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", (tenths + 5) / 10)
            };
        }
        unit += 1;
        divisor *= 1024;
    }
}

/// Compares names the way people read them: `v3.2` before `v3.10`.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        if digits_a > 0 && digits_b > 0 {
            let (number_a, rest_a) = a.split_at(digits_a);
            let (number_b, rest_b) = b.split_at(digits_b);
            let (value_a, value_b) = (without_zeros(number_a), without_zeros(number_b));
            let order = value_a.len().cmp(&value_b.len()).then(value_a.cmp(value_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
            continue;
        }
        match (a.split_first(), b.split_first()) {
            (Some((first_a, rest_a)), Some((first_b, rest_b))) if first_a == first_b => {
                (a, b) = (rest_a, rest_b);
            }
            _ => return a.cmp(b),
        }
    }
}

/// How many digits `text` starts with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// A size, with the exact number of bytes as its title.
#[must_use]
pub fn size(bytes: u64) -> Markup {
    html! { span title={ (number(bytes)) " bytes" } { (size_text(bytes)) } }
}

/// A point in time, in UTC.
#[must_use]
pub fn time(seconds: i64) -> Markup {
    let Some((year, month, day)) = civil_date(seconds.div_euclid(86_400)) else {
        return html! { (seconds) };
    };
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let long = u64::try_from(seconds)
        .map(|seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)));
    html! {
        time datetime={ (date) "T" (format!("{hour:02}:{minute:02}:{second:02}")) "Z" } title=[long.ok()] {
            (date) " " (format!("{hour:02}:{minute:02}"))
        }
    }
}

/// Year, month and day of a number of days since 1970 in the Gregorian calendar; `None` outside the
/// years 0 to 9999. The year is taken to start in March, which puts the leap day at its end.
fn civil_date(days: i64) -> Option<(i64, i64, i64)> {
    if !(-719_528..=2_932_896).contains(&days) {
        return None;
    }
    let from_era = days + 719_468;
    let era = from_era.div_euclid(146_097);
    let day_of_era = from_era.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3448, "3.4 KiB"),
            (102_400, "100 KiB"),
            (1_048_000, "1023 KiB"),
            (1_048_575, "1.0 MiB"),
            (10_u64.pow(12), "931 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size_text(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn versions_are_in_their_order() {
        let sorted = [
            "a",
            "v3.2.0",
            "v3.02.1",
            "v3.10.0",
            "v3.10.0-rc1",
            "v3.10.0-rc10",
            "w",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, sorted);
        assert_eq!(natural("v1", "v1"), Ordering::Equal);
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (1_735_689_599, "2024-12-31 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (-1, "1969-12-31 23:59"),
            (253_402_300_799, "9999-12-31 23:59"),
        ] {
            assert!(time(seconds).into_string().contains(text), "{seconds}");
        }
        assert_eq!(time(i64::MAX).into_string(), i64::MAX.to_string());
        assert_eq!(time(i64::MIN).into_string(), i64::MIN.to_string());
    }
}
