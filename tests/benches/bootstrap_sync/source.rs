//! The upstream: a process of its own with a Bootstrap's server over a folder, and proxies that delay.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::manifest::{Kernel, Manifest};
use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
use bcm_core::digest::Sha256;
use bcm_core::http::Validators;
use bcm_tests::delay_proxy::{DelayProxy, GIGABIT};
use tokio_util::sync::CancellationToken;

use super::DELAY;

/// How many kernels there are.
pub const KERNELS: u64 = 20;

/// The bytes of each.
pub const SIZE: u64 = 100_000_000;

/// The name of a kernel.
pub fn name(number: u64) -> String {
    format!("zero-os-{number:02}.efi")
}

/// Makes the upstream's folder, a mirror like any other: every kernel another one, nearly all of it
/// holes, which nothing on the way knows.
pub fn fill(folder: &Path) {
    let layout = Layout::new(folder);
    let mut manifest = Manifest::load(&layout.manifest()).expect("none").manifest;
    fs::create_dir_all(layout.links()).expect("a folder");
    for number in 0..KERNELS {
        let mut file = fs::File::create(layout.kernels().join(name(number))).expect("a file");
        writeln!(file, "kernel {number}").expect("room");
        file.set_len(SIZE).expect("a size");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock");
        let time = Duration::from_secs(now.as_secs() - 86_400 - number);
        file.set_modified(UNIX_EPOCH + time).expect("a time");
        let path = layout.kernels().join(name(number));
        let kernel = Kernel {
            size: SIZE,
            sha256: Sha256::of_reader(fs::File::open(path).expect("it is there")).expect("a disk"),
            timestamp: time.as_secs().try_into().expect("a time"),
            listed: true,
            source: "here".to_owned(),
            validators: Validators::default(),
            checked: 0,
        };
        let name = KernelName::new(name(number)).expect("a name");
        manifest.kernels.insert(name, kernel);
    }
    manifest.save(&layout.manifest()).expect("room");
    for (mode, number) in [("prod", 3), ("test", 2), ("dev", 1), ("qa", 0)] {
        let link = layout.links().join(format!("{mode}.efi"));
        symlink(format!("../{}", name(number)), link).expect("a link");
    }
}

/// The running source; it ends when dropped.
pub struct Source {
    process: Child,
    pub direct: SocketAddr,
    pub delayed: SocketAddr,
    /// Delayed, and no faster than [`GIGABIT`].
    pub narrow: SocketAddr,
}

impl Source {
    /// Serves `folder`.
    pub fn start(folder: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("its own path"))
            .arg("--source")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let mut addresses = line
            .split_whitespace()
            .map(|text| text.parse().expect("an address"));
        Self {
            direct: addresses.next().expect("three"),
            delayed: addresses.next().expect("three"),
            narrow: addresses.next().expect("three"),
            process,
        }
    }

    /// The most memory that it ever had resident, in kB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a number")
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the source's process does: serves until its input is closed.
pub fn serve(folder: Option<&str>) {
    let layout = Layout::new(folder.expect("a folder"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let inside = runtime.enter();
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = BootstrapServer::bind(ServeOptions::new(layout, listen)).expect("a port");
    let direct = server.local_addrs()[0];
    runtime.spawn(server.run(CancellationToken::new()));
    let proxy = runtime
        .block_on(DelayProxy::start(direct, DELAY))
        .expect("a port");
    let narrow = runtime
        .block_on(DelayProxy::with_rate(direct, DELAY, GIGABIT))
        .expect("a port");
    println!("{direct} {} {}", proxy.address(), narrow.address());
    let _ = std::io::stdin().read(&mut [0]);
    drop(inside);
}
