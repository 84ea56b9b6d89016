//! Boot media, as a browser gets them: over HTTP, each for another farm.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bcm_bootstrap_sync::image::Prebuilt;

use super::source::Source;
use super::timed;

/// How many of each form.
const COUNT: u64 = 201;

/// Prints the median time of each form.
pub fn measure(folder: &Path) {
    println!(
        "boot media over HTTP, no delay, a new connection each, {COUNT} of each form, medians"
    );
    let there = |folder: &str| Path::new(folder).join("ipxe.lkrn").is_file();
    if !Prebuilt::FOLDERS.into_iter().any(there) {
        println!("  not measured: the package ipxe is not installed");
        return;
    }
    let source = Source::start(folder);
    for form in ["iso", "usb", "uefimg", "uefi", "snponly", "krn"] {
        let mut times: Vec<Duration> = Vec::new();
        let mut bytes = 0;
        for farm in 1..=COUNT {
            let (time, size) = timed(|| get(source.direct, &format!("/{form}/prod/{farm}")));
            times.push(time);
            bytes = size;
        }
        times.sort();
        let median = times[times.len() / 2];
        let worst = times[times.len() - 1];
        println!(
            "  {form:<8} {:>6.2} ms, slowest {:>6.2} ms, {:>5} kB",
            median.as_secs_f64() * 1e3,
            worst.as_secs_f64() * 1e3,
            bytes / 1000
        );
    }
}

/// Downloads a medium; its size, with its head.
fn get(address: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("the source listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: boot.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "a medium");
    answer.len()
}
