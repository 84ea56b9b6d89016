//! Where to connect: `[ssh://][user@]host[:port]`.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A host to connect to. User and port are only there if they were given: the user's `ssh_config`
/// decides otherwise, and `host` may be an alias from there.
///
/// ```
/// use bcm_ssh::Destination;
///
/// let destination: Destination = "admin@[fd00::7]:2222".parse()?;
/// assert_eq!(destination.user(), Some("admin"));
/// assert_eq!(destination.host(), "fd00::7");
/// assert_eq!(destination.port(), Some(2222));
/// assert!("-oProxyCommand=sh".parse::<Destination>().is_err());
/// # Ok::<(), bcm_ssh::DestinationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Why a destination was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// There is no host in it.
    #[error("{0:?} names no host")]
    NoHost(String),
    /// A user or host that ssh could take for an option, or with a character that neither has.
    #[error("{part:?} is not the name of a {what}")]
    Name {
        /// `user` or `host`.
        what: &'static str,
        /// What was given.
        part: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("{0:?} is not a port (1 to 65535)")]
    Port(String),
    /// An address in brackets that is not IPv6.
    #[error("{0:?} in brackets is not an IPv6 address")]
    Ipv6(String),
    /// `.onion` names of version 3 have 56 characters of a–z and 2–7.
    #[error("{0:?} is not an onion service's name")]
    Onion(String),
}

impl Destination {
    /// A host without user and port.
    ///
    /// # Errors
    /// When it is not a host's name or address.
    pub fn new(host: impl Into<String>) -> Result<Self, DestinationError> {
        let host = host.into();
        check_host(&host)?;
        Ok(Self {
            user: None,
            host,
            port: None,
        })
    }

    /// The same with this user.
    ///
    /// # Errors
    /// When it is not the name of a user.
    pub fn with_user(mut self, user: impl Into<String>) -> Result<Self, DestinationError> {
        let user = user.into();
        check_user(&user)?;
        self.user = Some(user);
        Ok(self)
    }

    /// The same with this port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The user, if one was given.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host's name, alias or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is an onion service, which is reached only through Tor: the user's `ssh_config`
    /// needs a `ProxyCommand` for `*.onion`.
    #[must_use]
    pub fn is_onion(&self) -> bool {
        is_onion(&self.host)
    }
}

fn is_onion(host: &str) -> bool {
    host.len() > ".onion".len() && host.to_ascii_lowercase().ends_with(".onion")
}

fn check_user(user: &str) -> Result<(), DestinationError> {
    let allowed = |c: char| {
        !c.is_control() && !c.is_whitespace() && !matches!(c, '@' | ':' | '/' | '\'' | '"')
    };
    if user.is_empty() || user.starts_with('-') || !user.chars().all(allowed) {
        return Err(DestinationError::Name {
            what: "user",
            part: user.to_owned(),
        });
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), DestinationError> {
    if host.is_empty() {
        return Err(DestinationError::NoHost(host.to_owned()));
    }
    // Letters of any language: names that are not ASCII are the resolver's business.
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let address = host.split_once('%').map_or(
        host,
        |(address, zone)| if zone.is_empty() { host } else { address },
    );
    let ipv6 = address.parse::<Ipv6Addr>().is_ok();
    if host.starts_with('-') || !(ipv6 || host.chars().all(allowed)) {
        return Err(DestinationError::Name {
            what: "host",
            part: host.to_owned(),
        });
    }
    if is_onion(host) {
        let name = host[..host.len() - ".onion".len()].to_ascii_lowercase();
        // Tor's rend-spec-v3, section 6; a service may have subdomains.
        let service = name.rsplit('.').next().unwrap_or_default();
        let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
        if service.len() != 56 || !service.chars().all(base32) {
            return Err(DestinationError::Onion(host.to_owned()));
        }
    }
    Ok(())
}

fn parse_port(port: &str) -> Result<u16, DestinationError> {
    port.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| DestinationError::Port(port.to_owned()))
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((address, after)) = bracketed.split_once(']') else {
                return Err(DestinationError::Ipv6(bracketed.to_owned()));
            };
            let bare = address.split('%').next().unwrap_or_default();
            if bare.parse::<Ipv6Addr>().is_err() {
                return Err(DestinationError::Ipv6(address.to_owned()));
            }
            match after.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if after.is_empty() => (address, None),
                None => return Err(DestinationError::Port(after.to_owned())),
            }
        } else if rest.matches(':').count() > 1 {
            // An IPv6 address without brackets cannot have a port.
            (rest, None)
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let mut destination = Self::new(host).map_err(|error| match error {
            DestinationError::NoHost(_) => DestinationError::NoHost(text.to_owned()),
            other => other,
        })?;
        if let Some(user) = user {
            destination = destination.with_user(user)?;
        }
        destination.port = port.map(parse_port).transpose()?;
        Ok(destination)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Destination {
        text.parse().unwrap()
    }

    #[test]
    fn the_usual_forms() {
        for (text, user, host, port) in [
            ("node1", None, "node1", None),
            ("a@node1", Some("a"), "node1", None),
            ("a@node1:22", Some("a"), "node1", Some(22)),
            (
                "ssh://a@node1.example:2222/",
                Some("a"),
                "node1.example",
                Some(2222),
            ),
            ("10.0.0.7:22", None, "10.0.0.7", Some(22)),
            ("fd00::7", None, "fd00::7", None),
            ("a@fe80::1%eth0", Some("a"), "fe80::1%eth0", None),
            ("a@[fd00::7]:2222", Some("a"), "fd00::7", Some(2222)),
            ("[fd00::7]", None, "fd00::7", None),
            ("a.b\\c@host_1", Some("a.b\\c"), "host_1", None),
        ] {
            let d = parse(text);
            assert_eq!((d.user(), d.host(), d.port()), (user, host, port), "{text}");
        }
    }

    #[test]
    fn what_ssh_could_misunderstand_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "-oProxyCommand=x",
            "a@-host",
            "-l@host",
            "host:0",
            "host:70000",
            "host:x",
            "host:",
            "[host]:22",
            "[fd00::7",
            "[fd00::7]x",
            "ho st",
            "a b@host",
            "host\n",
            "$(x)",
            "a;b",
            "host/..",
            "x.onion",
            "@host",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn onion_names_are_known() {
        let name = format!("{}.onion", "a2".repeat(28));
        assert!(parse(&format!("admin@{name}")).is_onion());
        assert!(!parse("onion.example").is_onion());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Destination>();
        }

        #[test]
        fn what_is_displayed_is_read_back(
            user in proptest::option::of("[a-z][a-z0-9_.]{0,8}"),
            host in "[a-z][a-z0-9-]{0,10}|10\\.0\\.0\\.[1-9]|fd00::[1-9a-f]",
            port in proptest::option::of(1u16..),
        ) {
            let destination = Destination { user, host, port };
            prop_assert_eq!(&parse(&destination.to_string()), &destination);
        }
    }
}
