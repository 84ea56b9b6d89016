//! See `targets::flist`.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each program runs one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(folder) = tempfile::tempdir() {
        targets::flist(bytes, folder.path());
    }
});
