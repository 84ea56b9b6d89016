//! What a request asks for: from arguments to a [`Command`], without doing anything.
//!
//! The words of a refusal, and the order in which faults are looked for, are 0-db's own.

use std::time::Duration;

use crate::block::BlockKey;
use crate::store::{Cursor, Direction};

use super::MAX_KEY;
use super::resp::{Argument, Request};

/// The longest name of a namespace in a request, in bytes.
const MAX_NAMESPACE: usize = 128;

/// The longest administrator's password in a request, in bytes.
const MAX_ADMIN_PASSWORD: usize = 128;

/// The longest namespace password in a request, in bytes.
const MAX_NAMESPACE_PASSWORD: usize = 255;

/// Hex digits of a SHA-1.
const SHA1_DIGITS: usize = 40;

/// How long `WAIT` waits where the request does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What `WAIT` can be asked to wait, in milliseconds.
const WAIT_RANGE: std::ops::RangeInclusive<u64> = 100..=30 * 60 * 1000;

const UNEXPECTED: &str = "Unexpected arguments";
const DENIED: &str = "Permission denied";
const READ_ONLY: &str = "Namespace is in read-only mode";

/// All names that 0-db knows, so that `WAIT` can tell an unknown one.
const KNOWN: &[&str] = &[
    "*", "WAIT", "MIRROR", "MASTER", "PING", "TIME", "AUTH", "HOOKS", "INDEX", "DATA", "SET",
    "SETX", "GET", "MGET", "DEL", "EXISTS", "CHECK", "LENGTH", "KEYTIME", "SCAN", "SCANX", "RSCAN",
    "KSCAN", "HISTORY", "KEYCUR", "INFO", "STOP", "DBSIZE", "NSNEW", "NSDEL", "NSLIST", "NSSET",
    "NSINFO", "NSJUMP", "SELECT", "RELOAD", "FLUSH",
];

/// The key in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// One that a block can have.
    Block(BlockKey),
    /// One that 0-db takes, but that no block has: it is never found.
    Foreign,
}

/// How a request to log in proves itself. No proof is good here, so only its form is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A password.
    Plain,
    /// The SHA-1 of challenge and password, which needs a challenge first; whether it is as long
    /// as one.
    Hashed {
        /// Whether it has the length of a SHA-1 in hex.
        well_formed: bool,
    },
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Is anybody there.
    Ping,
    /// The clock.
    Time,
    /// The server's counters.
    Info,
    /// How many keys.
    DbSize,
    /// The names of the namespaces.
    NsList,
    /// A namespace's settings and size.
    NsInfo(Box<[u8]>),
    /// Work with a namespace.
    Select(Box<[u8]>, Option<Proof>),
    /// A challenge for a [`Proof::Hashed`].
    Challenge,
    /// Become administrator.
    Auth(Proof),
    /// A payload.
    Get(Key),
    /// Several payloads.
    MGet(Vec<Key>),
    /// Is the key there.
    Exists(Key),
    /// Is the payload what was stored.
    Check(Key),
    /// A payload's length.
    Length(Key),
    /// When the key was set.
    KeyTime(Key),
    /// The key's place in the order of insertion.
    KeyCur(Key),
    /// A payload and its earlier versions; `earlier` when the request asks for one of those.
    History {
        /// The key.
        key: Key,
        /// Where the earlier version is: there never is one.
        earlier: Option<[u8; 8]>,
    },
    /// The keys after a place.
    Scan {
        /// The place; `None` for the beginning.
        after: Option<Cursor>,
        /// Which way.
        direction: Direction,
    },
    /// Wait until something happens on the namespace.
    Wait {
        /// The event is a new key; others never happen.
        for_set: bool,
        /// How long.
        at_most: Duration,
    },
}

/// Why a request is refused, as it is sent.
pub type Refusal = &'static str;

/// Reads a request.
///
/// # Errors
/// The text to refuse it with.
pub fn parse(request: &Request) -> Result<Command, Refusal> {
    let name = request.get(0).map_or(&b""[..], |name| name.bytes);
    let mut upper = [0; 8];
    let Some(upper) = upper.get_mut(..name.len()) else {
        return Err("Command not supported");
    };
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    match &*upper {
        b"GET" => key(request).map(Command::Get),
        b"MGET" => keys(request).map(Command::MGet),
        b"KEYTIME" => key(request).map(Command::KeyTime),
        b"EXISTS" => key(request).map(Command::Exists),
        b"LENGTH" => key(request).map(Command::Length),
        b"CHECK" => key(request).map(Command::Check),
        b"KEYCUR" => {
            let key = exactly(request, 2)?;
            Ok(Command::KeyCur(to_key(key)))
        }
        b"SCAN" | b"SCANX" => scan(request, Direction::Forward),
        b"RSCAN" => scan(request, Direction::Backward),
        b"HISTORY" => history(request),
        b"PING" => Ok(Command::Ping),
        b"TIME" => Ok(Command::Time),
        b"INFO" => Ok(Command::Info),
        b"DBSIZE" => Ok(Command::DbSize),
        b"NSLIST" => Ok(Command::NsList),
        b"NSINFO" => namespace(exactly(request, 2)?).map(Command::NsInfo),
        b"SELECT" => select(request),
        b"AUTH" => auth(request),
        b"WAIT" => wait(request),
        b"SET" | b"SETX" => Err(set(request)),
        b"DEL" => Err(key(request).err().unwrap_or(READ_ONLY)),
        b"FLUSH" => Err("Flushing public namespace denied"),
        b"NSNEW" | b"NSDEL" | b"NSSET" | b"NSJUMP" | b"RELOAD" | b"HOOKS" | b"INDEX" | b"DATA"
        | b"MIRROR" | b"MASTER" => Err(DENIED),
        b"STOP" => Err("Unauthorized"),
        b"KSCAN" => Err("Command disabled in release code, not yet available"),
        b"*" => Err("This is not a valid command"),
        _ => Err("Command not supported"),
    }
}

/// The first argument of a request that has to have `count`, none of them empty.
fn exactly(request: &Request, count: usize) -> Result<Argument<'_>, Refusal> {
    if request.len() != count {
        return Err(UNEXPECTED);
    }
    if request.arguments().any(|argument| argument.length == 0) {
        return Err("Invalid argument");
    }
    request.get(1).ok_or(UNEXPECTED)
}

fn to_key(argument: Argument<'_>) -> Key {
    if argument.length != argument.bytes.len() {
        return Key::Foreign;
    }
    BlockKey::from_bytes(argument.bytes).map_or(Key::Foreign, Key::Block)
}

fn key(request: &Request) -> Result<Key, Refusal> {
    let argument = exactly(request, 2)?;
    if argument.length > MAX_KEY {
        return Err("Invalid key");
    }
    Ok(to_key(argument))
}

fn keys(request: &Request) -> Result<Vec<Key>, Refusal> {
    if request.len() < 2 {
        return Err("Invalid arguments");
    }
    if request.arguments().skip(1).any(|a| a.length > MAX_KEY) {
        return Err("Invalid key");
    }
    Ok(request.arguments().skip(1).map(to_key).collect())
}

fn scan(request: &Request, direction: Direction) -> Result<Command, Refusal> {
    let after = match request.get(1) {
        None => None,
        Some(cursor) => Some(Cursor(
            cursor.bytes.try_into().map_err(|_| "Invalid key format")?,
        )),
    };
    Ok(Command::Scan { after, direction })
}

fn history(request: &Request) -> Result<Command, Refusal> {
    const INVALID: Refusal = "Invalid arguments";
    let key = match request.len() {
        2 | 3 => to_key(request.get(1).ok_or(INVALID)?),
        _ => return Err(INVALID),
    };
    let earlier = match request.get(2) {
        None => None,
        Some(place) => Some(place.bytes.try_into().map_err(|_| INVALID)?),
    };
    Ok(Command::History { key, earlier })
}

fn namespace(argument: Argument<'_>) -> Result<Box<[u8]>, Refusal> {
    if argument.length > MAX_NAMESPACE {
        return Err("Namespace too long");
    }
    Ok(argument.bytes.into())
}

fn is_word(argument: Argument<'_>, word: &str) -> bool {
    argument.bytes.eq_ignore_ascii_case(word.as_bytes())
}

fn hashed(argument: Argument<'_>) -> Proof {
    Proof::Hashed {
        well_formed: argument.length == SHA1_DIGITS,
    }
}

fn select(request: &Request) -> Result<Command, Refusal> {
    let name = namespace(request.get(1).ok_or("Invalid argument")?)?;
    let proof = match (request.get(2), request.get(3)) {
        (None, _) => None,
        _ if request.len() > 4 => return Err("Too many arguments"),
        (Some(password), None) if password.length > MAX_NAMESPACE_PASSWORD => {
            return Err("Password too long");
        }
        (Some(_), None) => Some(Proof::Plain),
        (Some(method), Some(hash)) if is_word(method, "SECURE") => Some(hashed(hash)),
        (Some(_), Some(_)) => return Err("Only SECURE extra method supported"),
    };
    Ok(Command::Select(name, proof))
}

fn auth(request: &Request) -> Result<Command, Refusal> {
    match request.len() {
        2 => {
            let password = exactly(request, 2)?;
            if password.length > MAX_ADMIN_PASSWORD {
                return Err("Password too long");
            }
            Ok(Command::Auth(Proof::Plain))
        }
        3 => {
            if !is_word(exactly(request, 3)?, "SECURE") {
                return Err("Only SECURE extra method supported");
            }
            let hash = request.get(2).ok_or(UNEXPECTED)?;
            if is_word(hash, "CHALLENGE") {
                return Ok(Command::Challenge);
            }
            Ok(Command::Auth(hashed(hash)))
        }
        _ => Err(UNEXPECTED),
    }
}

fn wait(request: &Request) -> Result<Command, Refusal> {
    let event = match request.len() {
        2 | 3 => request.get(1).ok_or("Invalid arguments")?,
        _ => return Err("Invalid arguments"),
    };
    if !KNOWN.iter().any(|name| is_word(event, name)) {
        return Err("Unknown command to watch");
    }
    let at_most = match request.get(2) {
        None => DEFAULT_WAIT,
        Some(digits) => std::str::from_utf8(digits.bytes)
            .ok()
            .filter(|_| digits.length <= 16)
            .and_then(|digits| digits.parse().ok())
            .filter(|milliseconds| WAIT_RANGE.contains(milliseconds))
            .map(Duration::from_millis)
            .ok_or("Invalid timeout")?,
    };
    Ok(Command::Wait {
        for_set: is_word(event, "SET") || is_word(event, "SETX") || is_word(event, "*"),
        at_most,
    })
}

/// What a request to write is refused with.
fn set(request: &Request) -> Refusal {
    match request.len() {
        // A timestamp can be given by administrators alone.
        4 => DENIED,
        3 if request.get(1).is_some_and(|key| key.length > MAX_KEY) => "Key too large",
        3 => READ_ONLY,
        _ => UNEXPECTED,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::zdb::resp::{RequestDecoder, write_request};

    fn parsed(arguments: &[&[u8]]) -> Result<Command, Refusal> {
        let mut bytes = BytesMut::new();
        write_request(&mut bytes, arguments);
        let mut decoder = RequestDecoder::default();
        parse(decoder.decode(&mut bytes).unwrap().unwrap())
    }

    #[test]
    fn names_are_taken_in_any_case_and_whole() {
        let key = [7; 16];
        let get = Command::Get(Key::Block(BlockKey::Short(key)));
        assert_eq!(parsed(&[b"gEt", &key]), Ok(get));
        for name in [
            &b"GE"[..],
            b"GETX",
            b"",
            b"CLIENT",
            b"HELLO",
            b"ENORMOUSLYLONG",
        ] {
            assert_eq!(parsed(&[name, &key]), Err("Command not supported"));
        }
    }

    #[test]
    fn keys_have_limits() {
        assert_eq!(parsed(&[b"GET"]), Err(UNEXPECTED));
        assert_eq!(parsed(&[b"GET", b""]), Err("Invalid argument"));
        assert_eq!(parsed(&[b"GET", &[1; 255]]), Ok(Command::Get(Key::Foreign)));
        for length in [256, 257, 100_000] {
            assert_eq!(parsed(&[b"GET", &vec![1; length]]), Err("Invalid key"));
            assert_eq!(
                parsed(&[b"MGET", b"k", &vec![1; length]]),
                Err("Invalid key")
            );
        }
        assert_eq!(parsed(&[b"MGET"]), Err("Invalid arguments"));
        let long = Key::Block(BlockKey::Long([9; 32]));
        assert_eq!(
            parsed(&[b"MGET", &[9; 32], b"x"]),
            Ok(Command::MGet(vec![long, Key::Foreign]))
        );
    }

    #[test]
    fn nothing_that_writes_is_a_command() {
        for (arguments, refusal) in [
            (&[&b"SET"[..], b"k", b"v"][..], READ_ONLY),
            (&[b"SETX", b"k", b"v"], READ_ONLY),
            (&[b"SET", b"k", b"v", b"1"], DENIED),
            (&[b"SET", b"k"], UNEXPECTED),
            (&[b"SET", &[1; 256], b"v"], "Key too large"),
            (&[b"DEL", b"k"], READ_ONLY),
            (&[b"DEL"], UNEXPECTED),
            (&[b"NSNEW", b"x"], DENIED),
            (&[b"DATA", b"RAW", b"0", b"1"], DENIED),
            (&[b"MASTER"], DENIED),
            (&[b"STOP"], "Unauthorized"),
        ] {
            assert_eq!(parsed(arguments), Err(refusal), "{arguments:?}");
        }
    }

    #[test]
    fn logging_in_is_understood_in_all_its_forms() {
        let hash = [b'a'; 40];
        let hashed = |well_formed| Proof::Hashed { well_formed };
        let default = || Box::from(&b"default"[..]);
        for (arguments, expected) in [
            (&[&b"AUTH"[..], b"pw"][..], Ok(Command::Auth(Proof::Plain))),
            (&[b"AUTH", b"secure", b"challenge"], Ok(Command::Challenge)),
            (
                &[b"AUTH", b"SECURE", &hash],
                Ok(Command::Auth(hashed(true))),
            ),
            (
                &[b"AUTH", b"SECURE", b"ab"],
                Ok(Command::Auth(hashed(false))),
            ),
            (
                &[b"AUTH", b"SURE", b"ab"],
                Err("Only SECURE extra method supported"),
            ),
            (&[b"AUTH"], Err(UNEXPECTED)),
            (&[b"AUTH", &[b'p'; 129]], Err("Password too long")),
            (
                &[b"SELECT", b"default"],
                Ok(Command::Select(default(), None)),
            ),
            (
                &[b"SELECT", b"default", b"pw"],
                Ok(Command::Select(default(), Some(Proof::Plain))),
            ),
            (
                &[b"SELECT", b"default", b"SECURE", &hash],
                Ok(Command::Select(default(), Some(hashed(true)))),
            ),
            (&[b"SELECT"], Err("Invalid argument")),
            (
                &[b"SELECT", b"a", b"b", b"c", b"d"],
                Err("Too many arguments"),
            ),
            (&[b"SELECT", &[b'n'; 129]], Err("Namespace too long")),
        ] {
            assert_eq!(parsed(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn waiting_has_bounds() {
        let wait = |for_set, milliseconds| {
            Ok(Command::Wait {
                for_set,
                at_most: Duration::from_millis(milliseconds),
            })
        };
        assert_eq!(parsed(&[b"WAIT", b"set", b"100"]), wait(true, 100));
        assert_eq!(parsed(&[b"WAIT", b"*"]), wait(true, 5000));
        assert_eq!(
            parsed(&[b"WAIT", b"DEL", b"1800000"]),
            wait(false, 1_800_000)
        );
        for bad in [&b"99"[..], b"1800001", b"-1", b"soon", &[b'1'; 17]] {
            assert_eq!(parsed(&[b"WAIT", b"SET", bad]), Err("Invalid timeout"));
        }
        assert_eq!(parsed(&[b"WAIT", b"NOPE"]), Err("Unknown command to watch"));
        assert_eq!(parsed(&[b"WAIT"]), Err("Invalid arguments"));
    }

    #[test]
    fn cursors_have_seventeen_bytes() {
        let scan = Command::Scan {
            after: Some(Cursor([3; 17])),
            direction: Direction::Backward,
        };
        assert_eq!(parsed(&[b"RSCAN", &[3; 17]]), Ok(scan));
        for length in [0, 16, 18, 300] {
            assert_eq!(
                parsed(&[b"SCANX", &vec![3; length]]),
                Err("Invalid key format")
            );
        }
    }
}
