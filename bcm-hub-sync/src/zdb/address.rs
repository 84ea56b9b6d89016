//! Where a 0-db is: `zdb://[[user]:password@]host[:port][/namespace]`.

use std::fmt;
use std::str::FromStr;

use bcm_core::redact::Secret;
use serde::{Deserialize, Serialize};

/// The port that 0-db listens on.
pub const DEFAULT_PORT: u16 = 9900;

/// The namespace that every 0-db has.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The longest namespace name that 0-db takes, in bytes.
const MAX_NAMESPACE: usize = 128;

/// The longest namespace password that 0-db takes, in bytes.
const MAX_PASSWORD: usize = 255;

/// The address of a namespace in a 0-db.
///
/// `Display`, `Debug` and `Serialize` show `***` in the password's place, so an address can go
/// into a log or a report as it is.
///
/// ```
/// use bcm_hub_sync::zdb::ZdbAddress;
///
/// let address: ZdbAddress = "zdb://:s%40cret@[::1]/blocks".parse().unwrap();
/// assert_eq!((address.host(), address.port(), address.namespace()), ("::1", 9900, "blocks"));
/// assert_eq!(address.password().unwrap().reveal(), "s@cret");
/// assert_eq!(address.to_string(), "zdb://:***@[::1]:9900/blocks");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZdbAddress {
    host: String,
    port: u16,
    namespace: String,
    user: String,
    password: Option<Secret>,
}

/// Text that is not the address of a 0-db. It never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of a 0-db: {reason}")]
pub struct InvalidAddress {
    text: String,
    reason: &'static str,
}

impl ZdbAddress {
    /// The address of `namespace` at `host`, a name or an IP address (IPv6 without brackets).
    ///
    /// # Errors
    /// One of them cannot be part of an address.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        namespace: impl Into<String>,
    ) -> Result<Self, InvalidAddress> {
        let (host, namespace) = (host.into(), namespace.into());
        let reason = host_fault(&host)
            .or((port == 0).then_some("port 0 cannot be connected to"))
            .or(namespace_fault(&namespace));
        match reason {
            Some(reason) => Err(InvalidAddress {
                text: format!("{host}:{port}/{namespace}"),
                reason,
            }),
            None => Ok(Self {
                host,
                port,
                namespace,
                user: String::new(),
                password: None,
            }),
        }
    }

    /// The same address with the namespace's `password`.
    #[must_use]
    pub fn with_password(self, password: Secret) -> Self {
        Self {
            password: Some(password),
            ..self
        }
    }

    /// The host's name or IP address; IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace's password. 0-db knows no users: a user in an address is only shown.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// `host:port`, for messages about the connection.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn host_fault(host: &str) -> Option<&'static str> {
    if host.is_empty() {
        return Some("it names no host");
    }
    if host.contains(':') {
        // A zone (`%eth0`) is allowed; what stands before it has to be an IPv6 address.
        let (bare, zone) = host.split_once('%').unwrap_or((host, "0"));
        let fits = bare.parse::<std::net::Ipv6Addr>().is_ok()
            && !zone.is_empty()
            && zone.bytes().all(|b| b.is_ascii_alphanumeric());
        return (!fits).then_some("its host is not an IPv6 address");
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    (host.len() > 255 || !host.chars().all(fits)).then_some("its host is not a name or IP address")
}

fn namespace_fault(namespace: &str) -> Option<&'static str> {
    if namespace.is_empty() {
        Some("it names no namespace")
    } else if namespace.len() > MAX_NAMESPACE {
        Some("its namespace has more than 128 bytes")
    } else if namespace
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '/' | '%'))
    {
        Some("its namespace has a character that no namespace has")
    } else {
        None
    }
}

/// Undoes percent-encoding; `None` where that leaves something other than text.
fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok())?;
            bytes.extend(bcm_core::digest::from_hex(digits)?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn parse(text: &str) -> Result<ZdbAddress, &'static str> {
    let rest = text
        .strip_prefix("zdb://")
        .ok_or("it does not start with zdb://")?;
    // A password may hold anything but a slash, also an `@` that nobody encoded.
    let (authority, namespace) = match rest.split_once('/') {
        Some((authority, namespace)) => (authority, namespace.trim_end_matches('/')),
        None => (rest, ""),
    };
    let (user, password, place) = match authority.rsplit_once('@') {
        None => (String::new(), None, authority),
        Some((user_info, place)) => {
            let (user, password) = user_info
                .split_once(':')
                .ok_or("a password is written as :password@host")?;
            let decode = |part| decode_percent(part).ok_or("its password is badly encoded");
            let (user, password) = (decode(user)?, decode(password)?);
            if password.len() > MAX_PASSWORD {
                return Err("its password has more than 255 bytes");
            }
            if user.chars().any(char::is_control) {
                return Err("its user has a control character");
            }
            let password = (!password.is_empty()).then(|| Secret::new(password));
            (user, password, place)
        }
    };
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (host, after) = bracketed
            .split_once(']')
            .ok_or("its IPv6 address has no closing bracket")?;
        if !host.contains(':') {
            return Err("what is in brackets is not an IPv6 address");
        }
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("something follows its host that is not a port"),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address is written in brackets");
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| "its port is not a port")?
        }
        Some(_) => return Err("its port is not a port"),
    };
    let namespace = match namespace {
        "" => DEFAULT_NAMESPACE.to_owned(),
        encoded => decode_percent(encoded).ok_or("its namespace is badly encoded")?,
    };
    let address = ZdbAddress::new(host, port, namespace).map_err(|e| e.reason)?;
    Ok(ZdbAddress {
        user,
        password,
        ..address
    })
}

impl FromStr for ZdbAddress {
    type Err = InvalidAddress;
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        parse(text).map_err(|reason| InvalidAddress {
            text: bcm_core::redact::url(text).chars().take(200).collect(),
            reason,
        })
    }
}

impl TryFrom<String> for ZdbAddress {
    type Error = InvalidAddress;
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<ZdbAddress> for String {
    fn from(address: ZdbAddress) -> String {
        address.to_string()
    }
}

impl fmt::Display for ZdbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("zdb://")?;
        if self.password.is_some() {
            write!(f, "{}:***@", self.user)?;
        }
        write!(f, "{}/{}", self.authority(), self.namespace)
    }
}

impl fmt::Debug for ZdbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    #[test]
    fn every_part_has_its_default() {
        let address: ZdbAddress = "zdb://hub.grid.tf".parse().unwrap();
        assert_eq!(address.to_string(), "zdb://hub.grid.tf:9900/default");
        assert_eq!(address.password(), None);
        let same: ZdbAddress = "zdb://hub.grid.tf:9900/default/".parse().unwrap();
        assert_eq!(address, same);
        let new = ZdbAddress::new("hub.grid.tf", 9900, "default").unwrap();
        assert_eq!(address, new);
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        for (text, password) in [
            ("zdb://:pw@h/ns", "pw"),
            ("zdb://me:pw@h/ns", "pw"),
            ("zdb://me:p@w@h/ns", "p@w"),
            ("zdb://me:p%2Fw%3a@[2001:db8::1]:1/ns", "p/w:"),
        ] {
            let address: ZdbAddress = text.parse().unwrap();
            assert_eq!(address.password().unwrap().reveal(), password, "{text}");
            let shown = format!("{address} {address:?} {}", String::from(address.clone()));
            assert!(!shown.contains(password), "{shown}");
            assert!(shown.contains("***"), "{shown}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, reason) in [
            ("http://h", "zdb://"),
            ("zdb://", "no host"),
            ("zdb://:pw@/ns", "no host"),
            ("zdb://h:0", "port 0"),
            ("zdb://h:99999", "port"),
            ("zdb://h:+1", "port"),
            ("zdb://::1", "brackets"),
            ("zdb://[::1", "bracket"),
            ("zdb://[::1]x", "not a port"),
            ("zdb://[::g]", "IPv6"),
            ("zdb://pw@h", ":password@host"),
            ("zdb://:p%zz@h", "badly encoded"),
            ("zdb://h/a/b", "character"),
            ("zdb://h/a b", "character"),
            ("zdb://h?x", "host"),
        ] {
            let error = text.parse::<ZdbAddress>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("pw"), "{text}: {error}");
        }
    }

    #[test]
    fn any_text_is_taken_or_refused_and_what_is_shown_is_readable() {
        let texts = "zdb://[a-z0-9.]{1,8}(:[0-9]{1,4})?(/[a-z.:]{0,8})?|(zdb://)?[a-z:@\\[\\]/%0-9.]{0,30}|\\PC{0,20}";
        let (taken, refused) = (Cell::new(0), Cell::new(0));
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let check = |text: String| {
            let Ok(address) = text.parse::<ZdbAddress>() else {
                refused.set(refused.get() + 1);
                return Ok(());
            };
            taken.set(taken.get() + 1);
            let shown: ZdbAddress = address.to_string().parse().unwrap();
            prop_assert_eq!(shown.authority(), address.authority());
            prop_assert_eq!(shown.namespace(), address.namespace());
            Ok(())
        };
        runner.run(&texts, check).unwrap();
        assert!(
            taken.get() > 0 && refused.get() > 0,
            "{taken:?} {refused:?}"
        );
    }
}
