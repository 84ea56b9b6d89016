//! Conditional and ranged requests (RFC 9110, sections 13 and 14). Pure: headers in, decision out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};

/// What a representation is told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// The entity tag, with its quotes. Always strong.
    pub etag: String,
    /// Time of modification in seconds since 1970; none where it cannot be written as a date.
    pub modified: Option<u64>,
}

impl Validators {
    /// The value of `Last-Modified`.
    #[must_use]
    pub fn last_modified(&self) -> Option<String> {
        Some(httpdate::fmt_http_date(http_time(self.modified?)))
    }
}

/// A date that HTTP can write, for seconds since 1970: up to the year 9999.
fn http_time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799))
}

/// How a GET or HEAD is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes, first and last.
    Part(u64, u64),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    RangeNotSatisfiable,
}

/// Decides on the conditions and the range of a request for a representation of `size` bytes.
#[must_use]
pub fn decide(headers: &HeaderMap, validators: &Validators, size: u64) -> Decision {
    match conditions(headers, validators) {
        Decision::Whole => {}
        decided => return decided,
    }
    let Some(range) = text(headers, &header::RANGE) else {
        return Decision::Whole;
    };
    if let Some(unchanged) = text(headers, &header::IF_RANGE)
        && unchanged != validators.etag
        && Some(unchanged) != validators.last_modified().as_deref()
    {
        return Decision::Whole;
    }
    requested_range(range, size)
}

/// Decides on the conditions alone, for answers that have no ranges.
#[must_use]
pub fn conditions(headers: &HeaderMap, validators: &Validators) -> Decision {
    if let Some(wanted) = text(headers, &header::IF_MATCH) {
        if !lists(wanted, &validators.etag, false) {
            return Decision::PreconditionFailed;
        }
    } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && let Some(modified) = validators.modified
        && modified > date
    {
        return Decision::PreconditionFailed;
    }
    if let Some(known) = text(headers, &header::IF_NONE_MATCH) {
        if lists(known, &validators.etag, true) {
            return Decision::NotModified;
        }
    } else if date(headers, &header::IF_MODIFIED_SINCE).is_some()
        && date(headers, &header::IF_MODIFIED_SINCE) == validators.modified
    {
        // Only the very same date means "not modified": a file that was rolled back is older
        // than what the client has, and has changed all the same.
        return Decision::NotModified;
    }
    Decision::Whole
}

/// The header's value where there is exactly one that is text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    values.next().is_none().then_some(value)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let time = httpdate::parse_http_date(text(headers, name)?).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Whether a list of entity tags has `etag`. No tag of ours has a comma in it.
fn lists(list: &str, etag: &str, weak_too: bool) -> bool {
    list == "*"
        || list.split(',').map(str::trim).any(|item| {
            let opaque = item.strip_prefix("W/").filter(|_| weak_too);
            opaque.unwrap_or(item) == etag
        })
}

/// Reads a `Range` header. What is malformed, of another unit, or of several parts is answered
/// whole, as the RFC allows; parts that touch count as one.
fn requested_range(header: &str, size: u64) -> Decision {
    let Some((unit, parts)) = header.split_once('=') else {
        return Decision::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Decision::Whole;
    }
    let mut satisfiable: Vec<(u64, u64)> = Vec::new();
    for (count, part) in parts.split(',').enumerate() {
        if count >= 16 {
            return Decision::Whole;
        }
        match one_range(part.trim(), size) {
            Err(Malformed) => return Decision::Whole,
            Ok(None) => {}
            Ok(Some(range)) => satisfiable.push(range),
        }
    }
    satisfiable.sort_unstable();
    let mut ranges = satisfiable.into_iter();
    let Some((first, mut last)) = ranges.next() else {
        return Decision::RangeNotSatisfiable;
    };
    for (next_first, next_last) in ranges {
        if next_first > last + 1 {
            return Decision::Whole;
        }
        last = last.max(next_last);
    }
    Decision::Part(first, last)
}

struct Malformed;

/// `FIRST-LAST`, `FIRST-` or `-COUNT`; `None` where no byte of it is there.
fn one_range(part: &str, size: u64) -> Result<Option<(u64, u64)>, Malformed> {
    let (first, last) = part.split_once('-').ok_or(Malformed)?;
    let number = |text: &str| {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Malformed);
        }
        // More digits than fit mean "to the end".
        Ok(text.parse::<u64>().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        let count = number(last)?.min(size);
        return Ok((count > 0).then(|| (size - count, size - 1)));
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return Err(Malformed);
    }
    Ok((first < size).then(|| (first, last.min(size - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{NotModified, Part, PreconditionFailed, RangeNotSatisfiable, Whole};

    const DATE: &str = "Wed, 01 Jan 2025 00:00:00 GMT";
    const EARLIER: &str = "Tue, 31 Dec 2024 23:59:59 GMT";
    const LATER: &str = "Wed, 01 Jan 2025 00:00:01 GMT";

    fn answer(headers: &[(&'static str, &str)], size: u64) -> Decision {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let validators = Validators {
            etag: "\"e\"".to_owned(),
            modified: Some(1_735_689_600),
        };
        decide(&map, &validators, size)
    }

    #[test]
    fn ranges() {
        for (range, decision) in [
            ("bytes=0-0", Part(0, 0)),
            ("bytes=2-5", Part(2, 5)),
            ("bytes=2-", Part(2, 9)),
            ("bytes=-3", Part(7, 9)),
            ("bytes=-99", Part(0, 9)),
            ("bytes=5-99999999999999999999999", Part(5, 9)),
            ("BYTES = 1-2", Part(1, 2)),
            ("bytes=0-3,4-5", Part(0, 5)),
            ("bytes=4-5, 0-4", Part(0, 5)),
            ("bytes=0-1,20-30", Part(0, 1)),
            ("bytes=0-1,5-6", Whole),
            ("bytes=10-", RangeNotSatisfiable),
            ("bytes=10-12,-0", RangeNotSatisfiable),
            ("bytes=5-4", Whole),
            ("bytes=", Whole),
            ("bytes=a-b", Whole),
            ("bytes=-", Whole),
            ("bytes=+1-2", Whole),
            ("lines=1-2", Whole),
            ("nonsense", Whole),
        ] {
            assert_eq!(answer(&[("range", range)], 10), decision, "{range}");
        }
        assert_eq!(answer(&[("range", "bytes=0-")], 0), RangeNotSatisfiable);
        assert_eq!(answer(&[("range", "bytes=-5")], 0), RangeNotSatisfiable);
        let many = format!("bytes={}", ["0-1"; 17].join(","));
        assert_eq!(answer(&[("range", &many)], 10), Whole);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = ("range", "bytes=0-0");
        for (condition, decision) in [
            (("if-none-match", "\"e\""), NotModified),
            (("if-none-match", "W/\"e\""), NotModified),
            (("if-none-match", "\"x\", \"e\""), NotModified),
            (("if-none-match", "*"), NotModified),
            (("if-none-match", "\"x\""), Part(0, 0)),
            (("if-match", "\"e\""), Part(0, 0)),
            (("if-match", "*"), Part(0, 0)),
            (("if-match", "W/\"e\""), PreconditionFailed),
            (("if-match", "\"x\""), PreconditionFailed),
            (("if-modified-since", DATE), NotModified),
            (("if-modified-since", EARLIER), Part(0, 0)),
            (("if-modified-since", LATER), Part(0, 0)),
            (("if-modified-since", "yesterday"), Part(0, 0)),
            (("if-unmodified-since", DATE), Part(0, 0)),
            (("if-unmodified-since", EARLIER), PreconditionFailed),
            (("if-range", "\"e\""), Part(0, 0)),
            (("if-range", "W/\"e\""), Whole),
            (("if-range", "\"x\""), Whole),
            (("if-range", DATE), Part(0, 0)),
            (("if-range", LATER), Whole),
        ] {
            assert_eq!(answer(&[range, condition], 10), decision, "{condition:?}");
        }
    }

    #[test]
    fn a_tag_beats_a_date() {
        let headers = [("if-none-match", "\"x\""), ("if-modified-since", DATE)];
        assert_eq!(answer(&headers, 10), Whole);
        let headers = [("if-match", "\"e\""), ("if-unmodified-since", EARLIER)];
        assert_eq!(answer(&headers, 10), Whole);
    }
}
