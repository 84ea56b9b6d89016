//! What a snapshot is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use bcm_core::atomic_file;
use bcm_core::names::RepoName;
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::catalog::diff::FlistRecord;
use crate::catalog::{Catalog, FlistRef};
use crate::layout::Layout;

const VERSION: u32 = 1;
const SUFFIX: &str = ".json";

/// A snapshot, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// When it was made, in seconds since 1970.
    pub(super) made: i64,
    pub(super) catalog: Catalog,
    pub(super) official: BTreeSet<RepoName>,
    /// What was remembered of each flist; `file_md5` is the name of its content.
    pub(super) flists: BTreeMap<FlistRef, FlistRecord>,
}

impl Manifest {
    pub(super) fn new(made: i64) -> Self {
        Self {
            version: VERSION,
            made,
            catalog: Catalog::default(),
            official: BTreeSet::new(),
            flists: BTreeMap::new(),
        }
    }

    pub(super) fn read(layout: &Layout, name: &str) -> Result<Self, SnapshotError> {
        let path = path_of(layout, name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = name.to_owned();
                return Err(SnapshotError::Unknown { name });
            }
            Err(error) => return Err(SnapshotError::io("read", &path)(error)),
        };
        let damaged = |why: String| SnapshotError::Damaged {
            path: path.clone(),
            why,
        };
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        match manifest.version {
            VERSION => Ok(manifest),
            other => Err(damaged(format!(
                "this version does not know format {other}"
            ))),
        }
    }

    pub(super) fn write(&self, layout: &Layout, name: &str) -> Result<(), SnapshotError> {
        let path = path_of(layout, name);
        let text = serde_json::to_vec(self)
            .map_err(io::Error::other)
            .map_err(SnapshotError::io("put into JSON", &path))?;
        Ok(atomic_file::write(&path, &text, 0o644)?)
    }
}

/// Whether `name` is one that a snapshot may have: it becomes part of a file's name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn path_of(layout: &Layout, name: &str) -> PathBuf {
    layout.snapshots().join(format!("{name}{SUFFIX}"))
}

pub(super) fn pin_of(layout: &Layout, name: &str) -> PathBuf {
    layout.snapshots().join(format!("{name}.pin"))
}

/// The names of all snapshots, the oldest first.
pub(super) fn names(layout: &Layout) -> Result<Vec<String>, SnapshotError> {
    let folder = layout.snapshots();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SnapshotError::io("read the folder", &folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(SnapshotError::io("read the folder", &folder))?;
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// `20261122-052031` for a time in seconds since 1970, in UTC.
pub(super) fn name_of(time: i64) -> String {
    let time = time.clamp(0, 253_402_300_799);
    let (days, seconds) = (time / 86_400, time % 86_400);
    // The proleptic Gregorian calendar in eras of 400 years that begin in March.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!(
        "{year:04}{month:02}{day:02}-{hours:02}{minutes:02}{:02}",
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dates() {
        for (time, name) in [
            (0, "19700101-000000"),
            (951_782_399, "20000228-235959"),
            (951_782_400, "20000229-000000"),
            (1_709_251_199, "20240229-235959"),
            (1_795_324_831, "20261122-052031"),
            (-5, "19700101-000000"),
            (i64::MAX, "99991231-235959"),
        ] {
            assert_eq!(name_of(time), name);
            assert!(is_name(name));
        }
        for bad in ["", "..", "a", "1/2", "20261122.json", &"1".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
