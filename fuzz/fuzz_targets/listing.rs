//! What a hub lists: any bytes end in entries with safe names, or in an error.
#![no_main]

use bcm_core::names::RepoName;
use bcm_hub_sync::catalog::upstream::{Refusals, parse};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_800_000_000;

fuzz_target!(|body: &[u8]| {
    let Ok(home) = RepoName::new("home") else {
        return;
    };
    let mut refusals = Refusals::default();
    let _ = parse::fileslist(body, NOW, &|_| true, &mut refusals);
    let _ = parse::repository(body, &home, NOW, &mut refusals);
    let _ = parse::repositories(body, NOW, &|_| true, &mut refusals);
    let _ = parse::light(body, NOW);
    let _ = parse::md5(body);
});
