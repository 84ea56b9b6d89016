//! A 0-db on loopback that can be written to, made of the recordings of a client that logged in;
//! it can be cut off and come back, lock itself, run full, and lose or damage blocks.
//!
//! What is recorded of an administrator's writes is compared with it in a test.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bcm_core::digest::Sha1;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::origin::Blocks;
use crate::origin::zdb::{Reply, error, read_command, reply};

/// What a client has to know, and how the namespace `default` is set up.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The administrator's password; without one everybody is administrator.
    pub admin: Option<String>,
    /// The namespace's password; without one everybody may write.
    pub password: Option<String>,
}

/// A running 0-db. It ends when it is dropped.
pub struct OwnZdb {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    setup: Setup,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocks: Blocks,
    locked: bool,
    /// The most bytes of payload that it takes.
    room: Option<u64>,
    commands: u64,
    connections: Vec<tokio::task::AbortHandle>,
}

/// What the server knows of a client.
#[derive(Default)]
struct Client {
    admin: bool,
    writable: bool,
    challenge: Option<String>,
}

impl OwnZdb {
    /// Starts an empty one that everybody may write to.
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    /// Starts an empty one.
    pub fn with(setup: Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("own-0-db")
            .enable_all()
            .build()
            .expect("a runtime");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let zdb = Self {
            shared: Arc::new(Shared {
                setup,
                state: Mutex::default(),
            }),
            address: socket.local_addr().expect("an address"),
            runtime: Some(runtime),
            accepting: Mutex::default(),
        };
        zdb.listen(socket);
        zdb
    }

    fn listen(&self, socket: std::net::TcpListener) {
        let runtime = self.runtime.as_ref().expect("it runs");
        socket.set_nonblocking(true).expect("non-blocking");
        let _context = runtime.enter();
        let listener = TcpListener::from_std(socket).expect("a listener");
        let shared = Arc::clone(&self.shared);
        let task = runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = Arc::clone(&shared);
                let task = tokio::spawn(async move {
                    // A client that went away is its own business.
                    let _ = connection(stream, &own).await;
                });
                shared.lock().connections.push(task.abort_handle());
            }
        });
        *self.accepting.lock().expect("no panic") = Some(task);
    }

    /// Ends all connections and takes no new ones, as a process that was killed.
    pub fn stop(&self) {
        if let Some(task) = self.accepting.lock().expect("no panic").take() {
            task.abort();
            while !task.is_finished() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        for connection in std::mem::take(&mut self.shared.lock().connections) {
            connection.abort();
        }
    }

    /// Listens on the same port again, with what it had.
    pub fn start_again(&self) {
        let mut tries = 0;
        let socket = loop {
            match std::net::TcpListener::bind(self.address) {
                Ok(socket) => break socket,
                Err(error) => assert!(tries < 500, "the port is taken: {error}"),
            }
            tries += 1;
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        self.listen(socket);
    }

    /// Its URL with the namespace and without a password.
    pub fn url(&self) -> String {
        format!("zdb://{}/default", self.address)
    }

    /// Its URL with `password`.
    pub fn url_with(&self, password: &str) -> String {
        format!("zdb://:{password}@{}/default", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes its blocks behind everybody's back.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Blocks) -> T) -> T {
        change(&mut self.shared.lock().blocks)
    }

    /// Locks the namespace against writes, or opens it.
    pub fn lock(&self, locked: bool) {
        self.shared.lock().locked = locked;
    }

    /// Lets it take this many bytes of payload in all.
    pub fn room(&self, bytes: Option<u64>) {
        self.shared.lock().room = bytes;
    }

    /// How many commands it was given.
    pub fn commands(&self) -> u64 {
        self.shared.lock().commands
    }
}

impl Drop for OwnZdb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connection(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut client = Client {
        admin: shared.setup.admin.is_none(),
        ..Client::default()
    };
    client.writable = shared.setup.password.is_none();
    while let Some(arguments) = read_command(&mut stream).await? {
        let answer = shared.answer(&mut client, &arguments);
        stream.write_all(&answer).await?;
    }
    Ok(())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn answer(&self, client: &mut Client, arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut state = self.lock();
        state.commands += 1;
        let name = arguments
            .first()
            .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase());
        let rest: Vec<&[u8]> = arguments.iter().skip(1).map(Vec::as_slice).collect();
        match (name.as_deref(), &rest[..]) {
            (Some("AUTH"), [secure, challenge])
                if secure.eq_ignore_ascii_case(b"SECURE")
                    && challenge.eq_ignore_ascii_case(b"CHALLENGE") =>
            {
                // Anything that is new each time.
                let challenge = format!("{:016x}", 0x5eed_0000 + state.commands);
                let answer = format!("+{challenge}\r\n").into_bytes();
                client.challenge = Some(challenge);
                answer
            }
            (Some("AUTH"), [.., password]) => {
                let secure = rest.len() == 2;
                match &self.setup.admin {
                    None => error("Authentication disabled"),
                    Some(admin) if client.proves(password, secure, admin) => {
                        client.admin = true;
                        ok()
                    }
                    Some(_) => error("Access denied"),
                }
            }
            (Some("SELECT"), [namespace, ..]) if *namespace != b"default" => {
                error("Namespace not found")
            }
            (Some("SELECT"), [_]) => {
                client.writable = self.setup.password.is_none();
                ok()
            }
            (Some("SELECT"), [_, .., password]) => {
                let secure = rest.len() == 3;
                match &self.setup.password {
                    Some(right) if client.proves(password, secure, right) => {
                        client.writable = true;
                        ok()
                    }
                    Some(_) => error("Access denied"),
                    None => ok(),
                }
            }
            (Some("SET"), [_, _, _]) if !client.admin => error("Permission denied"),
            (Some("SET" | "DEL"), [_, ..]) if !client.writable => {
                error("Namespace is in read-only mode")
            }
            (Some("SET" | "DEL"), [_, ..]) if state.locked => {
                error("Namespace is temporarily locked (read-only)")
            }
            (Some("SET"), [key, payload, time @ ..]) => state.set(key, payload, time.first()),
            (Some("DEL"), [key]) => match state.blocks.get(key) {
                Some(_) => {
                    state.blocks.delete(key);
                    ok()
                }
                None => error("Key not found"),
            },
            _ => match reply(&state.blocks, 300, |_| None, arguments) {
                Some(Reply::Bytes(bytes)) => bytes,
                _ => error("Command not supported"),
            },
        }
    }
}

impl Client {
    /// Whether `proof` shows that the client knows `password`.
    fn proves(&mut self, proof: &[u8], secure: bool, password: &str) -> bool {
        if !secure {
            return proof == password.as_bytes();
        }
        let Some(challenge) = self.challenge.take() else {
            return false;
        };
        let right = Sha1::of(format!("{challenge}:{password}").as_bytes());
        proof == right.to_string().as_bytes()
    }
}

impl State {
    fn set(&mut self, key: &[u8], payload: &[u8], time: Option<&&[u8]>) -> Vec<u8> {
        // 0-db compares the checksum that it noted, not what is on the disk.
        let before = self.blocks.get(key).map(|block| block.payload.len() as u64);
        if before.is_some() {
            return b"$-1\r\n".to_vec();
        }
        let bytes = self.blocks.payload_bytes() + payload.len() as u64;
        if self.room.is_some_and(|room| bytes > room) {
            return error("No space left on this namespace");
        }
        let time = time
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .unwrap_or(1_800_000_000);
        self.blocks.put(key.to_vec(), payload.to_vec(), time);
        let mut answer = format!("${}\r\n", key.len()).into_bytes();
        answer.extend(key);
        answer.extend(b"\r\n");
        answer
    }
}

fn ok() -> Vec<u8> {
    b"+OK\r\n".to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::wire::{Resp, encoded};

    /// What a real server answered to an administrator who writes.
    #[test]
    fn answers_as_recorded() {
        let zdb = OwnZdb::with(Setup {
            admin: Some("adminpw".into()),
            password: Some("adminpw".into()),
        });
        zdb.edit(|blocks| *blocks = Blocks::recorded());
        let mut connection = Resp::connect(zdb.address());
        let mut compared = 0;
        for command in fixtures::admin_commands() {
            // Raw data and the namespace's paths are none of what a store asks for.
            if command.command.starts_with("DATA") || command.command.starts_with("NSINFO") {
                continue;
            }
            let Some(recorded) = command.reply() else {
                continue;
            };
            let found = connection.ask(&[command.request()]).remove(0);
            assert_eq!(
                String::from_utf8_lossy(&found),
                String::from_utf8_lossy(&recorded),
                "{}",
                command.command
            );
            compared += 1;
        }
        assert!(compared >= 12, "{compared}");
    }

    #[test]
    fn it_stops_and_comes_back() {
        let zdb = OwnZdb::start();
        let mut connection = Resp::connect(zdb.address());
        let set = encoded(&[&b"SET"[..], b"k", b"v"]);
        assert_eq!(connection.ask(&[&set]), [b"$1\r\nk\r\n".to_vec()]);
        zdb.stop();
        assert!(std::net::TcpStream::connect(zdb.address()).is_err());
        zdb.start_again();
        let mut connection = Resp::connect(zdb.address());
        assert_eq!(connection.ask(&[&set]), [b"$-1\r\n".to_vec()]);
    }
}
