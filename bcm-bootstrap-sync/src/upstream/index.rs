//! `/api/images`: JSON, a list of objects with at least a `name` and a `timestamp`.

use std::collections::{BTreeMap, BTreeSet};

use bcm_core::refused::{MAX_NAMED, Refused};
use serde_json::Value;

use crate::kernel::KernelName;

/// The most kernels that a list may have.
const MAX_LISTED: usize = 100_000;
/// The last second of the year 2099: what is said to be later is nonsense, and some file systems could
/// not keep it.
const LAST_SECOND: i64 = 4_102_444_799;

/// A list that is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Not JSON, or not a list.
    #[error("its list of kernels is not a JSON list")]
    Json(#[from] serde_json::Error),
    /// The page has no kernels on it.
    #[error("its page of kernels has no link to any")]
    NoLinks,
    /// Too many.
    #[error("its list of kernels has {0} entries; at most {MAX_LISTED} are taken")]
    TooLong(usize),
}

/// What upstream says of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Seconds since 1970; none where the list has no times.
    pub timestamp: Option<i64>,
}

/// The kernels that an upstream lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// By name.
    pub kernels: BTreeMap<KernelName, Listed>,
    /// Kernels that are listed with what cannot be used. They are there upstream all the same.
    pub unusable: BTreeSet<KernelName>,
    /// Entries that are refused, the first [`MAX_NAMED`].
    pub refused: Vec<Refused>,
    /// How many were refused.
    pub refused_total: u64,
}

impl Index {
    /// Reads `/api/images`. An entry that cannot be used is refused alone.
    ///
    /// # Errors
    /// It is not a JSON list, or a much too long one.
    pub fn of_json(text: &[u8]) -> Result<Self, IndexError> {
        let entries: Vec<Value> = serde_json::from_slice(text)?;
        if entries.len() > MAX_LISTED {
            return Err(IndexError::TooLong(entries.len()));
        }
        let mut index = Self::default();
        for entry in &entries {
            let Some(name) = entry.get("name").and_then(Value::as_str) else {
                index.refuse(&entry.to_string(), "it has no name".to_owned());
                continue;
            };
            match timestamp(entry.get("timestamp")) {
                Ok(timestamp) => index.add(name, Some(timestamp)),
                Err(reason) => {
                    index.unusable.extend(KernelName::new(name));
                    index.refuse(name, reason);
                }
            }
        }
        Ok(index)
    }

    /// Adds a kernel, if its name can be one. One that is listed twice has the later time.
    pub(super) fn add(&mut self, name: &str, timestamp: Option<i64>) {
        match KernelName::new(name) {
            Ok(name) => {
                let listed = Listed { timestamp };
                let entry = self.kernels.entry(name).or_insert(listed);
                entry.timestamp = entry.timestamp.max(timestamp);
            }
            Err(error) => self.refuse(name, error.to_string()),
        }
    }

    fn refuse(&mut self, subject: &str, reason: String) {
        self.refused_total += 1;
        if self.refused.len() < MAX_NAMED {
            let subject = subject.chars().take(200).flat_map(char::escape_debug);
            let subject = subject.collect();
            self.refused.push(Refused { subject, reason });
        }
    }
}

/// Seconds since 1970. Some upstreams may send what the file system said, with a fraction.
fn timestamp(value: Option<&Value>) -> Result<i64, String> {
    let Some(value) = value else {
        return Err("it has no timestamp".to_owned());
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what is out of range is refused below"
    )]
    let seconds = match value {
        Value::Number(number) => number
            .as_i64()
            .or(number.as_f64().map(|n| n.floor() as i64)),
        _ => None,
    };
    match seconds {
        Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => Ok(seconds),
        _ => {
            let text: String = value.to_string().chars().take(60).collect();
            Err(format!("its timestamp {text} is not a time in seconds"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Index {
        Index::of_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn unknown_fields_are_ignored_and_duplicates_become_one() {
        let index = index(
            r#"[{"name": "b.efi", "timestamp": 20, "size": "9 MB", "x": null},
                {"name": "a.efi", "timestamp": 10}, {"name": "a.efi", "timestamp": 30.9}]"#,
        );
        let kernels: Vec<_> = index
            .kernels
            .iter()
            .map(|(name, listed)| (name.as_str(), listed.timestamp))
            .collect();
        assert_eq!(kernels, [("a.efi", Some(30)), ("b.efi", Some(20))]);
        assert_eq!(index.refused_total, 0);
    }

    #[test]
    fn hostile_entries_are_refused_alone() {
        let index = index(
            r#"[{"name": "../../etc/passwd", "timestamp": 1}, {"name": "net", "timestamp": 1},
                {"name": "ok.efi", "timestamp": 1}, {"name": "a\u0000b", "timestamp": 1},
                {"name": "neg.efi", "timestamp": -5}, {"name": "text.efi", "timestamp": "now"},
                {"name": "huge.efi", "timestamp": 1e300}, {"name": "none.efi"},
                {"timestamp": 1}, 7, "x", null, [], {"name": 5, "timestamp": 1}]"#,
        );
        assert_eq!(index.kernels.len(), 1);
        assert_eq!(index.refused_total, 13);
        let unusable: Vec<_> = index.unusable.iter().map(KernelName::as_str).collect();
        assert_eq!(unusable, ["huge.efi", "neg.efi", "none.efi", "text.efi"]);
        for refused in &index.refused {
            assert!(!refused.subject.contains('\0') && !refused.reason.is_empty());
        }
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in ["", "{}", "null", "<html></html>", "[", "[[[[[", "\"x\""] {
            assert!(Index::of_json(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(Index::of_json(deep.as_bytes()).is_err());
    }
}
