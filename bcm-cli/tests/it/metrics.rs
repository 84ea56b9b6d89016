//! Metrics at an address of their own.

use crate::running::{Running, get};
use crate::sandbox::Sandbox;

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found";

fn address(of: &serde_json::Value) -> String {
    of[0].as_str().unwrap().to_owned()
}

#[test]
fn both_mirrors_of_a_process_are_told_of_at_one_address_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let mut stack = Running::start(
        &sandbox.path(""),
        "stack start --here --demo --http 127.0.0.1:0 --zdb 127.0.0.1:0 --metrics 127.0.0.1:0 \
         --output json",
    );
    let serving = &stack.document()["serving"];
    let (http, metrics) = (address(&serving["http"]), address(&serving["metrics"]));
    let (status, text) = get(&metrics, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for name in ["bcm_hub_blocks 54", "bcm_bootstrap_kernels "] {
        assert!(text.contains(&format!("\n{name}")), "{text}");
    }
    assert_eq!(get(&http, "/metrics").0, NOT_FOUND);
    assert_eq!(get(&metrics, "/api/flist").0, NOT_FOUND);
}

#[test]
fn each_server_alone_has_its_own_there() {
    for (server, name) in [
        ("hub serve --zdb 127.0.0.1:0", "bcm_hub_http_requests_total"),
        ("bootstrap serve", "bcm_bootstrap_http_requests_total"),
    ] {
        let sandbox = Sandbox::new();
        let apart = format!("{server} --data . --http 127.0.0.1:0 --output json");
        let mut served =
            Running::start(&sandbox.path(""), &format!("{apart} --metrics 127.0.0.1:0"));
        let started = served.document();
        assert!(
            get(&address(&started["metrics"]), "/metrics")
                .1
                .contains(name)
        );
        assert_eq!(get(&address(&started["http"]), "/metrics").0, NOT_FOUND);
        // Without the setting they are among the rest.
        let mut served = Running::start(&sandbox.path(""), &apart);
        let started = served.document();
        assert_eq!(started.get("metrics"), None);
        assert!(get(&address(&started["http"]), "/metrics").1.contains(name));
    }
}
