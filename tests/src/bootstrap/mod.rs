//! A fake Bootstrap: lists kernels and serves them as the upstream service does, and misbehaves on
//! command. HTTP by hand, so that it can be as wrong as a test wants.

mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;

/// A kernel as upstream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeKernel {
    /// Its content.
    pub bytes: Bytes,
    /// Its time, in seconds since 1970.
    pub time: i64,
}

/// Something the server does instead of giving the right answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, with a page.
    Status(u16),
    /// Status 200 with this type and body.
    Body(&'static str, String),
    /// Announces the whole, sends this many bytes and closes.
    Cut(usize),
    /// Announces this length, whatever there is, and closes after the bytes.
    Length(u64),
    /// Announces no length at all, and cuts the body to this many bytes.
    NoLength(usize),
    /// Redirects to a path.
    Redirect(String),
    /// Ignores `If-Range` and gives the part that was asked for of whatever is there.
    PartOfAnything,
    /// Takes the request and never answers.
    Silent,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `HEAD`.
    pub method: String,
    /// As it came.
    pub path: String,
    /// The status that it got.
    pub status: u16,
    /// The first byte that was asked for, where one was.
    pub from: Option<u64>,
}

/// What the server has and does.
#[derive(Debug, Default)]
struct State {
    kernels: BTreeMap<String, FakeKernel>,
    /// Kernels that the list does not have.
    hidden: Vec<String>,
    /// Run modes and the names that they lead to.
    modes: BTreeMap<String, String>,
    /// What `/api/images` says instead of the list.
    index: Option<String>,
    without_json: bool,
    /// The content's hash as entity tag, the same for a link as for its target.
    tags_of_content: bool,
    faults: Vec<(String, Fault, u64)>,
    /// Bytes per second of each connection.
    rate: Option<u64>,
    log: Vec<Asked>,
    /// Bytes of answers that were sent, heads and bodies.
    sent: u64,
    /// How many more may be sent until everything stands still.
    left: Option<u64>,
}

/// What connections and the test share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when everything stands still.
    still: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }

    /// How many of `bytes` bytes may be sent now. They count as sent.
    fn may_send(&self, bytes: usize) -> usize {
        let mut state = self.state();
        let may = match state.left {
            Some(left) => bytes.min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => bytes,
        };
        state.sent += may as u64;
        if let Some(left) = &mut state.left {
            *left -= may as u64;
            if *left == 0 {
                self.still.notify_all();
            }
        }
        may
    }
}

/// A running fake Bootstrap; it ends when it is dropped.
pub struct Bootstrap {
    shared: Arc<Shared>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self::new()
    }
}

impl Bootstrap {
    /// An empty one, on a port of loopback that the system picks.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        runtime.spawn(wire::run(listener, Arc::clone(&shared)));
        Self {
            shared,
            address,
            _runtime: runtime,
        }
    }

    /// A few kernels of a few hundred kilobytes, one of them very old, and the four run modes.
    pub fn small(now: i64) -> Self {
        let origin = Self::new();
        const DAY: i64 = 86_400;
        for (name, age, size) in [
            ("zero-os-production-1.efi", 300 * DAY, 200_000),
            ("zero-os-production-2.efi", 30 * DAY, 300_001),
            ("zero-os-testing-3.efi", 20 * DAY, 250_000),
            ("zero-os-development-4.efi", DAY, 150_000),
            ("zero-os-ancient.efi", 900 * DAY, 100_000),
        ] {
            origin.publish(name, now - age, content(name, size));
        }
        for (mode, kernel) in [
            ("prod", "zero-os-production-2.efi"),
            ("test", "zero-os-testing-3.efi"),
            ("dev", "zero-os-development-4.efi"),
            ("qa", "zero-os-production-1.efi"),
        ] {
            origin.link(mode, kernel);
        }
        origin
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Publishes a kernel, or publishes it again.
    pub fn publish(&self, name: &str, time: i64, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let kernel = FakeKernel { bytes, time };
        self.state().kernels.insert(name.to_owned(), kernel);
    }

    /// Removes a kernel.
    pub fn remove(&self, name: &str) {
        self.state().kernels.remove(name);
    }

    /// Keeps a kernel out of the list.
    pub fn hide(&self, name: &str) {
        self.state().hidden.push(name.to_owned());
    }

    /// Lets a run mode lead to a kernel.
    pub fn link(&self, mode: &str, kernel: &str) {
        let mut state = self.state();
        state.modes.insert(mode.to_owned(), kernel.to_owned());
    }

    /// Takes a run mode away.
    pub fn unlink(&self, mode: &str) {
        self.state().modes.remove(mode);
    }

    /// The kernels.
    pub fn kernels(&self) -> BTreeMap<String, FakeKernel> {
        self.state().kernels.clone()
    }

    /// Says this instead of the list; `None` says the list again.
    pub fn say_index(&self, text: Option<&str>) {
        self.state().index = text.map(str::to_owned);
    }

    /// Has no `/api/images`, only the page.
    pub fn without_json(&self) {
        self.state().without_json = true;
    }

    /// Makes entity tags of the content alone.
    pub fn tags_of_content(&self) {
        self.state().tags_of_content = true;
    }

    /// Does something wrong the next `times` times that `path` is asked for.
    pub fn fail(&self, path: &str, fault: Fault, times: u64) {
        self.state().faults.push((path.to_owned(), fault, times));
    }

    /// Sends at most this many bytes a second on each connection.
    pub fn pace(&self, rate: Option<u64>) {
        self.state().rate = rate;
    }

    /// How many bytes of answers were sent, heads and bodies.
    pub fn sent(&self) -> u64 {
        self.state().sent
    }

    /// Sends so many bytes more, heads and bodies, and then nothing on any connection that is open; new
    /// connections wait, too. `None` answers again, but not to who was left waiting.
    pub fn stand_still_after(&self, bytes: Option<u64>) {
        self.state().left = bytes;
    }

    /// Waits until the bytes of [`Self::stand_still_after`] are sent; whether that was before `deadline`.
    pub fn wait_until_still(&self, deadline: Duration) -> bool {
        let begin = Instant::now();
        let mut state = self.state();
        while state.left != Some(0) {
            let Some(left) = deadline.checked_sub(begin.elapsed()) else {
                return false;
            };
            let waited = self.shared.still.wait_timeout(state, left);
            state = waited.expect("no panic under the lock").0;
        }
        true
    }

    /// What was asked since the last time.
    pub fn take_log(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().log)
    }
}

/// Bytes that look like a kernel and are different for every seed.
pub fn content(seed: &str, size: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    bytes.extend_from_slice(b"MZ");
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// How long a pause makes `bytes` take at `rate` bytes a second.
fn pause(bytes: usize, rate: Option<u64>) -> Option<Duration> {
    let rate = rate?.max(1);
    Some(Duration::from_secs_f64(bytes as f64 / rate as f64))
}
