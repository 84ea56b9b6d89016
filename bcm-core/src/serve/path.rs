//! Paths and queries of requests: percent-encoding, once, and nothing that could lead elsewhere.

/// The decoded segments; one slash at the end is forgiven. `None` where a segment is empty, is not
/// UTF-8 when decoded, or decodes to something that has a slash or NUL in it.
#[must_use]
pub fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some(Vec::new());
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .map(|segment| {
            let decoded = decode(segment, false)?;
            let refused = decoded.is_empty() || decoded.contains(['/', '\0']);
            (!refused).then_some(decoded)
        })
        .collect()
}

/// Percent-decodes `text`; `None` where it is broken or not UTF-8.
fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'%' => {
                let [high, low, after @ ..] = after else {
                    return None;
                };
                rest = after;
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                u8::try_from(high << 4 | low).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The first value of `name` in a query, form-decoded; `None` where it is not there or broken.
#[must_use]
pub fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decode(key, true).as_deref() == Some(name))
        .and_then(|(_, value)| decode(value, true))
}

/// Writes `segment` so that it is one segment of a path.
#[must_use]
pub fn encode(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'@'
            | b'!'
            | b'$'
            | b'*'
            | b'('
            | b')'
            | b',' => text.push(char::from(byte)),
            _ => {
                text.push('%');
                text.push_str(&crate::digest::to_hex(&[byte]).to_ascii_uppercase());
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(segments("/").unwrap(), Vec::<String>::new());
        assert_eq!(segments("/a%20b/c+d/").unwrap(), ["a b", "c+d"]);
        for path in [
            "", "a", "//", "/a//b", "/a%2fb", "/%00", "/%ff", "/%zz", "/%2",
        ] {
            assert_eq!(segments(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_encoded_is_one_segment() {
        for text in ["a b", "..", "a/b", "ü%25?#", "x:y@z"] {
            let path = format!("/{}", encode(text));
            if text.contains('/') {
                assert_eq!(segments(&path), None);
            } else {
                assert_eq!(segments(&path).unwrap(), [text]);
            }
        }
    }

    #[test]
    fn queries_are_form_decoded() {
        assert_eq!(
            query_value(Some("a=1&q=x+y%2Bz&q=2"), "q").as_deref(),
            Some("x y+z")
        );
        assert_eq!(query_value(Some("q"), "q").as_deref(), Some(""));
        assert_eq!(query_value(Some("q=%ff"), "q"), None);
        assert_eq!(query_value(None, "q"), None);
    }
}
