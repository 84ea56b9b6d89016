//! Making snapshots, and letting old ones go.

use std::fs;
use std::time::Duration;

use bcm_core::atomic_file;
use bcm_core::digest::Md5;

use super::contents::Contents;
use super::manifest::{self, Manifest};
use super::{SnapshotError, contents, is_pinned};
use crate::catalog::diff::{FlistRecord, NO_FORM};
use crate::catalog::local::{self, LocalScan, listed_size, open_flist};
use crate::layout::Layout;
use crate::sync::state::State;

/// Makes a snapshot of the published tree if it has changed since the last one, and lets those go
/// that are neither pinned nor among the newest `keep`. The data folder must be locked. Answers
/// with the new one's name.
///
/// Also without snapshots (`keep` is 0) the published flists are kept for as long as garbage is
/// given grace, so that their blocks are spared for that long.
pub(crate) fn after_sync(
    layout: &Layout,
    keep: usize,
    grace: Duration,
    now: i64,
) -> Result<Option<String>, SnapshotError> {
    let state = State::load(&layout.state())?.state;
    if last_taken(layout) == Some(state.changes) {
        return Ok(None);
    }
    let scan = local::scan(layout)?;
    if scan.catalog.repositories.is_empty() {
        return Ok(None);
    }
    let mut contents = Contents::open(layout)?;
    let mut manifest = Manifest::new(now);
    manifest.official = state.official.clone();
    for (place, record) in records(layout, &scan, &state)? {
        contents.keep(&place, &record.file_md5)?;
        manifest.flists.insert(place, record);
    }
    contents.sync()?;
    manifest.catalog = scan.catalog;
    let mut name = None;
    if keep > 0 {
        let new = free_name(layout, now);
        manifest.write(layout, &new)?;
        name = Some(new);
    }
    note_taken(layout, state.changes)?;
    expire(layout, keep, state.held.as_deref(), grace)?;
    Ok(name)
}

/// What is known of every published flist. One that no sync remembers is read.
fn records(
    layout: &Layout,
    scan: &LocalScan,
    state: &State,
) -> Result<Vec<(crate::catalog::FlistRef, FlistRecord)>, SnapshotError> {
    let users = layout.users();
    let mut records = Vec::with_capacity(scan.files.len());
    for (place, identity) in &scan.files {
        if let Some(record) = state.memory.flists.get(place)
            && record.file_size == identity.size
        {
            records.push((place.clone(), record.clone()));
            continue;
        }
        let path = users.join(&place.repository).join(&place.name);
        let md5 = open_flist(&users, &place.repository, &place.name)
            .and_then(|(file, _)| Md5::of_reader(file))
            .map_err(SnapshotError::io("read", &path))?;
        let record = FlistRecord {
            md5,
            listed_size: listed_size(identity.size),
            updated: identity.modified.seconds,
            listed_at: 0,
            checked: 0,
            file_size: identity.size,
            file_md5: md5,
            form: NO_FORM.to_owned(),
            blocks: false,
        };
        records.push((place.clone(), record));
    }
    Ok(records)
}

fn free_name(layout: &Layout, now: i64) -> String {
    let name = manifest::name_of(now);
    let taken = |name: &String| manifest::path_of(layout, name).exists();
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_default()
}

fn last_path(layout: &Layout) -> std::path::PathBuf {
    layout.snapshots().join("last")
}

fn last_taken(layout: &Layout) -> Option<u64> {
    let text = fs::read_to_string(last_path(layout)).ok()?;
    text.trim().parse().ok()
}

/// The tree as it is after its change number `changes` needs no snapshot any more.
pub(super) fn note_taken(layout: &Layout, changes: u64) -> Result<(), SnapshotError> {
    let text = format!("{changes}\n");
    Ok(atomic_file::write(
        &last_path(layout),
        text.as_bytes(),
        0o644,
    )?)
}

fn expire(
    layout: &Layout,
    keep: usize,
    held: Option<&str>,
    grace: Duration,
) -> Result<(), SnapshotError> {
    let names = manifest::names(layout)?;
    let mut may_go: Vec<&String> = names
        .iter()
        .filter(|name| !is_pinned(layout, name) && held != Some(name.as_str()))
        .collect();
    may_go.truncate(may_go.len().saturating_sub(keep));
    if may_go.is_empty() {
        return Ok(());
    }
    for name in may_go {
        super::remove(&manifest::path_of(layout, name))?;
    }
    contents::sweep(layout, grace, false)?;
    Ok(())
}
