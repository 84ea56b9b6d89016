//! A hub and its 0-db on loopback, made of recordings, that misbehave on command.
//!
//! ```
//! use bcm_tests::origin::{HttpFault, Origin};
//!
//! let origin = Origin::recorded();
//! origin.fault("/api/fileslist", HttpFault::status(503));
//! println!("{} and {}", origin.url(), origin.zdb_url());
//! ```
//!
//! As long as a test does not [edit](Origin::edit) the catalogue, the hub replays the recorded
//! answers byte by byte; from then on it renders them from the catalogue. What no test scripted
//! and nothing recorded gets a 500 (or a 0-db error), and the origin then fails the test when it
//! is dropped, unless the test takes it by [`Origin::take_unexpected`].

mod answer;
mod blocks;
mod fault;
mod http;
#[cfg(test)]
mod tests;
mod users;
pub(crate) mod zdb;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::answer::Answer;
use self::answer::Answers;
pub use self::blocks::{Blocks, Stored};
use self::fault::HttpRule;
pub use self::fault::{BlockFault, HttpFault};
pub use self::users::{Folder, Node, Users};
use self::zdb::Reply;
use crate::fixtures;

/// A running fake hub with its 0-db. It ends when it is dropped.
pub struct Origin {
    shared: Arc<Shared>,
    http: SocketAddr,
    zdb: SocketAddr,
    runtime: Option<Runtime>,
    accepting: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the 0-db gets a block.
    sets: watch::Sender<()>,
    /// Told when answers take another time.
    pauses: watch::Sender<()>,
}

struct State {
    answers: Answers,
    recorded_commands: BTreeMap<Vec<u8>, Vec<u8>>,
    blocks: Blocks,
    scan_page: usize,
    /// How many pages the circle of a scan has, and how many were given.
    scan_circle: Option<(usize, usize)>,
    http_rules: Vec<HttpRule>,
    block_faults: BTreeMap<Vec<u8>, (u64, BlockFault)>,
    http_pause: Duration,
    zdb_pause: Duration,
    hangup_after: Option<u64>,
    refuse_wait: bool,
    requests: BTreeMap<String, u64>,
    commands: BTreeMap<String, u64>,
    unexpected: Vec<String>,
}

impl Origin {
    /// Starts an origin that replays the recording.
    pub fn recorded() -> Self {
        let users = Users::of_tar(&fixtures::users_tar());
        let recorded_commands = fixtures::public_commands()
            .into_iter()
            .filter_map(|command| Some((command.request(), command.reply()?)))
            .collect();
        let state = State {
            answers: Answers::recorded(users, &fixtures::exchanges()),
            recorded_commands,
            blocks: Blocks::recorded(),
            scan_page: usize::MAX,
            scan_circle: None,
            http_rules: Vec::new(),
            block_faults: BTreeMap::new(),
            http_pause: Duration::ZERO,
            zdb_pause: Duration::ZERO,
            hangup_after: None,
            refuse_wait: false,
            requests: BTreeMap::new(),
            commands: BTreeMap::new(),
            unexpected: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            sets: watch::Sender::new(()),
            pauses: watch::Sender::new(()),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fake-origin")
            .enable_all()
            .build()
            .expect("a runtime");
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = |socket: &std::net::TcpListener| socket.local_addr().expect("an address");
        let (http, zdb) = (bind(), bind());
        let origin = Self {
            shared,
            http: address(&http),
            zdb: address(&zdb),
            runtime: Some(runtime),
            accepting: Mutex::default(),
        };
        origin.listen(http, zdb);
        origin
    }

    fn listen(&self, http: std::net::TcpListener, zdb: std::net::TcpListener) {
        let runtime = self.runtime.as_ref().expect("it runs");
        let _context = runtime.enter();
        let listener = |socket: std::net::TcpListener| {
            socket.set_nonblocking(true).expect("non-blocking");
            TcpListener::from_std(socket).expect("a listener")
        };
        let (http, zdb) = (listener(http), listener(zdb));
        *self.accepting.lock().expect("no panic") = vec![
            runtime.spawn(http::run(http, Arc::clone(&self.shared))),
            runtime.spawn(zdb::run(zdb, Arc::clone(&self.shared))),
        ];
    }

    /// Ends all connections and takes no new ones, as processes that were killed.
    pub fn stop(&self) {
        for task in std::mem::take(&mut *self.accepting.lock().expect("no panic")) {
            task.abort();
            while !task.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Listens on the same ports again, with what it had.
    pub fn start_again(&self) {
        let bind = |address: SocketAddr| {
            for _ in 0..500 {
                match std::net::TcpListener::bind(address) {
                    Ok(socket) => return socket,
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            panic!("{address} is taken");
        };
        self.listen(bind(self.http), bind(self.zdb));
    }

    /// The hub's URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The 0-db's URL with its namespace.
    pub fn zdb_url(&self) -> String {
        format!("zdb://{}/default", self.zdb)
    }

    /// Where the hub listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where the 0-db listens.
    pub fn zdb_addr(&self) -> SocketAddr {
        self.zdb
    }

    /// Changes the catalogue; from now on it is what the hub answers from.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Users) -> T) -> T {
        let mut state = self.shared.lock();
        state.answers.pristine = false;
        change(&mut state.answers.users)
    }

    /// Changes the 0-db's blocks; recorded replies are from now on made from the blocks.
    pub fn edit_blocks<T>(&self, change: impl FnOnce(&mut Blocks) -> T) -> T {
        let mut state = self.shared.lock();
        state.recorded_commands.clear();
        let before = state.blocks.len();
        let answer = change(&mut state.blocks);
        if state.blocks.len() > before {
            self.shared.sets.send_replace(());
        }
        answer
    }

    /// How many clients wait until the 0-db gets a block.
    pub fn waiting(&self) -> usize {
        self.shared.sets.receiver_count()
    }

    /// Whether the 0-db does not know `WAIT`.
    pub fn refuse_wait(&self, refuse: bool) {
        self.shared.lock().refuse_wait = refuse;
    }

    /// From now on a scan gives at most `most` blocks at once.
    pub fn scan_page(&self, most: usize) {
        self.shared.lock().scan_page = most;
    }

    /// From now on a scan begins again after this many pages, for ever.
    pub fn scan_circle(&self, pages: Option<usize>) {
        self.shared.lock().scan_circle = pages.map(|pages| (pages, 0));
    }

    /// Requests for `pattern` get `fault` from now on. The pattern is a decoded path; a `*` at its
    /// start or its end stands for anything. The fault that was set last goes first.
    pub fn fault(&self, pattern: &str, fault: HttpFault) {
        self.fault_times(pattern, u64::MAX, fault);
    }

    /// As [`Origin::fault`], for the next `times` requests only.
    pub fn fault_times(&self, pattern: &str, times: u64, fault: HttpFault) {
        let pattern = pattern.to_owned();
        self.shared.lock().http_rules.push(HttpRule {
            pattern,
            left: times,
            fault,
        });
    }

    /// Reads of the block `key` (hex) get `fault` from now on.
    pub fn block_fault(&self, key: &str, fault: BlockFault) {
        self.block_fault_times(key, u64::MAX, fault);
    }

    /// As [`Origin::block_fault`], for the next `times` reads only.
    pub fn block_fault_times(&self, key: &str, times: u64, fault: BlockFault) {
        let key = fixtures::unhex(key);
        self.shared.lock().block_faults.insert(key, (times, fault));
    }

    /// The 0-db closes every connection after this many replies.
    pub fn hang_up_after(&self, replies: Option<u64>) {
        self.shared.lock().hangup_after = replies;
    }

    /// How long the hub and the 0-db wait before each of their answers. Answers that wait are given
    /// at once.
    pub fn slow(&self, http: Duration, zdb: Duration) {
        let mut state = self.shared.lock();
        state.http_pause = http;
        state.zdb_pause = zdb;
        self.shared.pauses.send_replace(());
    }

    /// Ends every fault. Answers that wait are given at once.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.http_rules.clear();
        state.block_faults.clear();
        state.hangup_after = None;
        state.http_pause = Duration::ZERO;
        state.zdb_pause = Duration::ZERO;
        self.shared.pauses.send_replace(());
    }

    /// How many requests and commands there were since the last [`Origin::forget_counts`].
    pub fn asked(&self) -> u64 {
        let state = self.shared.lock();
        state.requests.values().chain(state.commands.values()).sum()
    }

    /// How often each path was asked for since the last [`Origin::forget_counts`].
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.shared.lock().requests.clone()
    }

    /// How often each 0-db command was given since the last [`Origin::forget_counts`].
    pub fn commands(&self) -> BTreeMap<String, u64> {
        self.shared.lock().commands.clone()
    }

    /// Starts all counts again.
    pub fn forget_counts(&self) {
        let mut state = self.shared.lock();
        state.requests.clear();
        state.commands.clear();
    }

    /// The requests and commands that nobody scripted or recorded so far.
    pub fn take_unexpected(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unexpected)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let unexpected = self.take_unexpected();
        if !std::thread::panicking() {
            assert!(
                unexpected.is_empty(),
                "the origin was asked what nobody scripted: {unexpected:#?}"
            );
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock fails by itself.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn http(&self, method: &str, path: &str) -> (Answer, Option<HttpFault>, Duration) {
        let mut state = self.lock();
        *state.requests.entry(path.to_owned()).or_default() += 1;
        let mut rules = state.http_rules.iter_mut().rev();
        let fault = rules.find(|rule| rule.matches(path)).map(|rule| {
            rule.left -= 1;
            rule.fault.clone()
        });
        let readable = matches!(method, "GET" | "HEAD");
        let known = readable.then(|| state.answers.get(path)).flatten();
        if known.is_none() && fault.is_none() {
            state.unexpected.push(format!("{method} {path}"));
        }
        let answer = known
            .unwrap_or_else(|| Answer::new(500, "text/plain", "nobody scripted this request\n"));
        (answer, fault, state.http_pause)
    }

    fn zdb(&self, arguments: &[Vec<u8>]) -> (Reply, Duration, Option<u64>) {
        let mut state = self.lock();
        let state = &mut *state;
        let name = arguments.first().map_or(String::new(), |name| {
            String::from_utf8_lossy(name).to_ascii_uppercase()
        });
        *state.commands.entry(name.clone()).or_default() += 1;
        for key in arguments.iter().skip(1) {
            if let Some((0, _)) = state.block_faults.get(key) {
                state.block_faults.remove(key);
            }
        }
        if name == "WAIT" && state.refuse_wait {
            let refusal = Reply::Bytes(zdb::error("Command not supported"));
            return (refusal, state.zdb_pause, state.hangup_after);
        }
        let mut arguments = arguments;
        if name == "SCANX"
            && let Some((pages, at)) = &mut state.scan_circle
        {
            if at == pages {
                *at = 0;
                arguments = &arguments[..1];
            }
            *at += 1;
        }
        let faults = &state.block_faults;
        let fault = |key: &[u8]| faults.get(key).map(|(_, fault)| fault.clone());
        let faulty = arguments.iter().skip(1).any(|key| faults.contains_key(key));
        let mut reply = None;
        if !faulty && name != "WAIT" {
            let request = crate::wire::encoded(arguments);
            reply = state
                .recorded_commands
                .get(&request)
                .cloned()
                .map(Reply::Bytes);
        }
        let reply = reply
            .or_else(|| zdb::reply(&state.blocks, state.scan_page, fault, arguments))
            .unwrap_or_else(|| {
                let words: Vec<_> = arguments
                    .iter()
                    .map(|a| String::from_utf8_lossy(a))
                    .collect();
                state.unexpected.push(format!("0-db {}", words.join(" ")));
                Reply::Bytes(zdb::error("Command not supported"))
            });
        if matches!(name.as_str(), "GET" | "MGET") {
            for key in arguments.iter().skip(1) {
                if let Some((left, _)) = state.block_faults.get_mut(key) {
                    *left -= 1;
                }
            }
        }
        (reply, state.zdb_pause, state.hangup_after)
    }
}
