//! Answers to commands, out of the store.

use std::time::{Duration, Instant};

use crate::block::BlockKey;
use crate::store::{BlockInfo, Cursor, Direction, StoreError};
use crate::zdb::command::{Command, Key, Proof, Refusal};
use crate::zdb::resp::{
    write_array_header, write_bulk, write_error, write_integer, write_nil, write_status,
};

use super::output::Output;
use super::{Shared, info};

/// How long 0-db goes on with a scan before it answers.
const SCAN_SLICE: Duration = Duration::from_millis(2);

/// How many keys are read from the store at a time during a scan.
const SCAN_STEP: usize = 256;

/// How many keys one scan answers at most.
const SCAN_MOST: usize = 8192;

/// What the server remembers of a client.
#[derive(Debug, Default)]
pub(super) struct Session {
    challenged: bool,
}

/// One thing to do for a client. Long commands are several.
#[derive(Debug)]
pub(super) enum Step {
    /// Refuse.
    Refuse(Refusal),
    /// Answer; not `MGET` and not `WAIT`.
    Answer(Command),
    /// Begin an array of answers.
    Array(usize),
    /// Add a payload to it.
    Element(Key),
    /// Wait for a change of the store, or for nothing.
    Wait { for_set: bool, at_most: Duration },
}

impl Step {
    /// Whether the store has to be read for it.
    pub(super) fn reads(&self) -> bool {
        match self {
            Self::Element(key) => matches!(key, Key::Block(_)),
            Self::Refuse(_) | Self::Array(_) | Self::Wait { .. } => false,
            Self::Answer(command) => !matches!(
                command,
                Command::Ping
                    | Command::Time
                    | Command::Info
                    | Command::NsList
                    | Command::Select(..)
                    | Command::Challenge
                    | Command::Auth(_)
            ),
        }
    }
}

impl Shared {
    /// Does one step; may block on the disk when [`Step::reads`].
    pub(super) fn answer(&self, session: &mut Session, step: Step, output: &mut Output) {
        match step {
            Step::Refuse(text) => {
                self.counters.refused(text);
                write_error(output.tail(), text);
            }
            Step::Array(count) => {
                self.counters.executed();
                write_array_header(output.tail(), count);
            }
            Step::Element(key) => self.payload(key, output),
            Step::Wait { .. } => {}
            Step::Answer(command) => {
                self.counters.executed();
                self.command(session, command, output);
            }
        }
    }

    fn command(&self, session: &mut Session, command: Command, output: &mut Output) {
        match command {
            Command::Ping => write_status(output.tail(), "PONG"),
            Command::Time => {
                let now = info::since_1970();
                write_array_header(output.tail(), 2);
                write_bulk(output.tail(), now.as_secs().to_string().as_bytes());
                write_bulk(output.tail(), now.subsec_micros().to_string().as_bytes());
            }
            Command::Info => write_bulk(output.tail(), self.counters.text().as_bytes()),
            Command::DbSize => match self.store.stats() {
                Ok(stats) => write_integer(output.tail(), to_i64(stats.blocks)),
                Err(error) => self.internal_error(&error, output),
            },
            Command::NsList => {
                write_array_header(output.tail(), 1);
                write_bulk(output.tail(), self.options.namespace.as_bytes());
            }
            Command::NsInfo(name) => self.namespace_info(&name, output),
            Command::Select(name, proof) => {
                if !self.is_namespace(&name) {
                    write_error(output.tail(), "Namespace not found");
                } else if let Some(proof) = proof {
                    write_error(output.tail(), denial(session, proof));
                } else {
                    write_status(output.tail(), "OK");
                }
            }
            Command::Challenge => {
                session.challenged = true;
                write_status(output.tail(), &format!("{:016x}", info::random()));
            }
            Command::Auth(proof) => {
                write_error(output.tail(), denial(session, proof));
                // A challenge is good for one answer.
                if proof == (Proof::Hashed { well_formed: true }) {
                    session.challenged = false;
                }
            }
            Command::Get(key) => self.payload(key, output),
            Command::Exists(key) => self.known(key, output, |output, found| {
                write_integer(output.tail(), i64::from(found.is_some()));
            }),
            Command::Length(key) => self.known(key, output, |output, found| {
                number_or_nil(output, found.map(|info| info.size));
            }),
            Command::KeyTime(key) => self.known(key, output, |output, found| {
                number_or_nil(output, found.map(|info| info.timestamp));
            }),
            Command::KeyCur(key) => self.known(key, output, |output, found| match found {
                Some(info) => write_bulk(output.tail(), &info.cursor.0),
                None => write_error(output.tail(), "Key not found"),
            }),
            Command::Check(key) => self.check(key, output),
            Command::History { key, earlier } => self.history(key, earlier, output),
            Command::Scan { after, direction } => self.scan(after, direction, output),
            Command::MGet(_) | Command::Wait { .. } => {}
        }
    }

    fn is_namespace(&self, name: &[u8]) -> bool {
        name == self.options.namespace.as_bytes()
    }

    fn namespace_info(&self, name: &[u8], output: &mut Output) {
        if !self.is_namespace(name) {
            write_error(output.tail(), "Namespace not found");
            return;
        }
        match self.store.stats() {
            Ok(stats) => {
                let space = self.options.free_space_of.as_deref();
                let text = info::namespace(&self.options.namespace, &stats, space);
                write_bulk(output.tail(), text.as_bytes());
            }
            Err(error) => self.internal_error(&error, output),
        }
    }

    fn payload(&self, key: Key, output: &mut Output) {
        let Key::Block(key) = key else {
            return write_nil(output.tail());
        };
        match self.store.get(&key) {
            Ok(Some((_, payload))) => {
                self.counters.read(payload.len());
                output.bulk(payload);
            }
            Ok(None) => write_nil(output.tail()),
            Err(error) => self.internal_error(&error, output),
        }
    }

    fn known(
        &self,
        key: Key,
        output: &mut Output,
        write: impl FnOnce(&mut Output, Option<BlockInfo>),
    ) {
        let found = match key {
            Key::Block(key) => self.store.info(&key),
            Key::Foreign => Ok(None),
        };
        match found {
            Ok(found) => write(output, found),
            Err(error) => self.internal_error(&error, output),
        }
    }

    /// 0-db compares a CRC32; the key says more.
    fn check(&self, key: Key, output: &mut Output) {
        let Key::Block(key) = key else {
            return write_nil(output.tail());
        };
        match self.store.get(&key) {
            Ok(Some((_, payload))) => {
                write_integer(output.tail(), i64::from(key.verifies(&payload)));
            }
            Ok(None) => write_nil(output.tail()),
            Err(StoreError::Damaged { .. }) => write_integer(output.tail(), 0),
            Err(error) => self.internal_error(&error, output),
        }
    }

    /// A block never changes, so it has no earlier versions.
    fn history(&self, key: Key, earlier: Option<[u8; 8]>, output: &mut Output) {
        match earlier {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => {
                return write_error(output.tail(), "No more history");
            }
            Some(_) => {
                return write_error(output.tail(), "Invalid arguments (index query)");
            }
            None => {}
        }
        let found = match key {
            Key::Block(key) => self.store.get(&key),
            Key::Foreign => Ok(None),
        };
        match found {
            Ok(Some((info, payload))) => {
                self.counters.read(payload.len());
                write_array_header(output.tail(), 3);
                write_nil(output.tail());
                write_bulk(output.tail(), info.timestamp.to_string().as_bytes());
                output.bulk(payload);
            }
            Ok(None) => write_error(output.tail(), "Key not found"),
            Err(error) => self.internal_error(&error, output),
        }
    }

    fn scan(&self, after: Option<Cursor>, direction: Direction, output: &mut Output) {
        let started = Instant::now();
        let mut found: Vec<BlockInfo> = Vec::new();
        let mut place = after;
        while found.len() < SCAN_MOST {
            match self.store.scan(place.as_ref(), direction, SCAN_STEP) {
                Ok(step) if step.is_empty() => break,
                Ok(step) => found.extend(step),
                Err(StoreError::UnknownCursor) => {
                    return write_error(output.tail(), "Invalid key format");
                }
                Err(error) => return self.internal_error(&error, output),
            }
            place = found.last().map(|info| info.cursor);
            if started.elapsed() > SCAN_SLICE {
                break;
            }
        }
        let Some(last) = found.last() else {
            return write_error(output.tail(), "No more data");
        };
        let tail = output.tail();
        write_array_header(tail, 2);
        write_bulk(tail, &last.cursor.0);
        write_array_header(tail, found.len());
        for info in &found {
            write_array_header(tail, 3);
            write_bulk(tail, BlockKey::as_bytes(&info.key));
            write_integer(tail, i64::from(info.size));
            write_integer(tail, i64::from(info.timestamp));
        }
    }

    fn internal_error(&self, error: &StoreError, output: &mut Output) {
        self.counters.read_failed();
        tracing::warn!(%error, "could not answer a 0-db client");
        write_error(output.tail(), "Internal Error");
    }
}

fn number_or_nil(output: &mut Output, number: Option<u32>) {
    match number {
        Some(number) => write_integer(output.tail(), i64::from(number)),
        None => write_nil(output.tail()),
    }
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// No password is the right one; what is said depends on how it comes.
fn denial(session: &Session, proof: Proof) -> Refusal {
    match proof {
        Proof::Hashed { .. } if !session.challenged => {
            "No CHALLENGE requested, secure authentication not available"
        }
        Proof::Hashed { well_formed: false } => "Invalid hash length",
        _ => "Access denied",
    }
}
