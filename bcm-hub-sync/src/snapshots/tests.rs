use std::time::Duration;

use super::*;

#[test]
fn names_from_outside_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    std::fs::create_dir_all(layout.snapshots()).unwrap();
    std::fs::write(layout.hub().join("state.json"), "{}").unwrap();
    for name in ["../state", "/etc/passwd", "", "last"] {
        let unknown = |result| matches!(result, Err(SnapshotError::Unknown { .. }));
        assert!(unknown(pin(&layout, name)), "{name}");
        assert!(unknown(drop(&layout, name)), "{name}");
    }
    assert!(layout.state().exists());
}

#[test]
fn a_mirror_without_anything_has_no_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    assert_eq!(list(&layout).unwrap(), []);
    assert_eq!(release(&layout).unwrap(), None);
    assert!(sweep(&layout, Duration::ZERO, false).unwrap().is_empty());
    assert_eq!(after_sync(&layout, 3, Duration::ZERO, 1).unwrap(), None);
}

#[test]
fn a_damaged_manifest_is_listed_and_nothing_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    std::fs::create_dir_all(layout.snapshot_flists()).unwrap();
    std::fs::write(layout.snapshots().join("20260101-000000.json"), "{").unwrap();
    let content = layout.snapshot_flists().join("0".repeat(32));
    std::fs::write(&content, "x").unwrap();
    assert!(list(&layout).unwrap()[0].damaged.is_some());
    assert!(sweep(&layout, Duration::ZERO, false).is_err());
    assert!(content.exists());
    drop(&layout, "20260101-000000").unwrap();
    assert_eq!(sweep(&layout, Duration::ZERO, true).unwrap().len(), 1);
    assert!(content.exists());
    assert_eq!(sweep(&layout, Duration::ZERO, false).unwrap().len(), 1);
    assert!(!content.exists());
}
