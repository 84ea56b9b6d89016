//! An flist from a stranger, as it is downloaded: opened, listed and walked to its end.
#![no_main]

use std::ops::ControlFlow;

use bcm_hub_sync::flist::{Flist, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("x.flist");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let limits = Limits {
        unpacked_bytes: 64 << 20,
        entries: 100_000,
        blocks: 1_000_000,
        ..Limits::default()
    };
    if let Ok(flist) = Flist::open(&path, &limits, folder.path()) {
        let _ = flist.contents();
        let _ = flist.inspect();
        let _ = flist.for_each_block(&mut |_| ControlFlow::Continue(()));
    }
});
