//! The values that flags, variables and `bcm.toml` have in common, read from text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A path.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("a path has at least one character".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

/// Any text, as it is.
pub(crate) fn text(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// `true` or `false`; for variables also `1`, `0`, `yes`, `no`.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

/// A count of at least one.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    const MOST: usize = 256;
    match text.parse::<usize>() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("{text:?} is not a whole number from 1 to {MOST}")),
    }
}

/// A share as `20%` or `0.2`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map(|p| p / 100.0),
        None => text.parse::<f64>(),
    };
    match number {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!(
            "{text:?} is not a share from 0% to 100% (or 0.0 to 1.0)"
        )),
    }
}

/// A length of time as `90s`, `15m`, `12h`, `7d` or `2w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 90s, 15m, 12h, 7d or 2w");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let seconds = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is longer than time can be counted"))
}

/// How long a deletion waits: a length of time, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeleteAfter(pub(crate) Option<Duration>);

impl FromStr for DeleteAfter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            text => duration(text)
                .map(|d| Self(Some(d)))
                .map_err(|error| format!("{error}, nor the word never")),
        }
    }
}

/// An address to listen on. `:8080` alone means every address of this machine, IPv4 and IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Every address, on this port; 0 lets the system pick one.
    Everywhere(u16),
    /// This address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:"))
            && let Ok(port) = port.parse()
        {
            return Ok(Self::Everywhere(port));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        if let Some(port) = text.strip_prefix("localhost:")
            && let Ok(port) = port.parse()
        {
            return Ok(Self::At(SocketAddr::new(
                IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        Err(format!(
            "{text:?} is not an address such as :8080, 127.0.0.1:8080 or [::1]:8080"
        ))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// A glob that matches the name of a repository or an entry.
pub(crate) fn glob(text: &str) -> Result<String, String> {
    globset::Glob::new(text)
        .map(|glob| glob.glob().to_owned())
        .map_err(|error| error.to_string())
}

/// Where to reach this mirror's blocks, as it is written into flists: `HOST[:PORT][/NAMESPACE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicBackend {
    /// A host name or an address.
    pub(crate) host: String,
    /// Default 9900.
    pub(crate) port: u16,
    /// Default `default`.
    pub(crate) namespace: String,
}

impl FromStr for PublicBackend {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form HOST[:PORT][/NAMESPACE]");
        let (authority, namespace) = text.split_once('/').unwrap_or((text, "default"));
        let (host, port) = match authority.rsplit_once(':') {
            // `::1` or `[::1]`: the colon belongs to the address.
            Some((before, _)) if before.contains(':') && !before.ends_with(']') => {
                (authority, 9900)
            }
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, 9900),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let plain = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/' || c == '@')
        };
        if !plain(host) || !plain(namespace) || port == 0 {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            namespace: namespace.to_owned(),
        })
    }
}

/// Cuts the value of a variable that may have several: at spaces, and at commas outside `{}`.
pub(crate) fn list(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c.is_whitespace() || (c == ',' && depth == 0)
    })
    .filter(|item| !item.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(duration("2w"), Ok(Duration::from_secs(1_209_600)));
        for wrong in [
            "",
            "7",
            "d",
            "7 d",
            "-7d",
            "7.5d",
            "7y",
            "99999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert!(duration("18446744073709551615w").is_err());
        assert_eq!("never".parse(), Ok(DeleteAfter(None)));
        assert_eq!("0s".parse(), Ok(DeleteAfter(Some(Duration::ZERO))));
    }

    #[test]
    fn shares() {
        assert_eq!(share("20%"), Ok(0.2));
        assert_eq!(share("0.5"), Ok(0.5));
        assert_eq!(share("100%"), Ok(1.0));
        for wrong in ["", "%", "101%", "-1%", "2", "NaN", "inf", "20 percent"] {
            assert!(share(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_to_listen_on() {
        assert_eq!(":8080".parse(), Ok(Listen::Everywhere(8080)));
        assert_eq!("*:0".parse(), Ok(Listen::Everywhere(0)));
        for text in ["127.0.0.1:0", "[::1]:9900"] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.to_string(), text);
        }
        assert_eq!(
            "localhost:1".parse(),
            Ok(Listen::At("127.0.0.1:1".parse().unwrap()))
        );
        for wrong in ["", "8080", ":", ":99999", "127.0.0.1", "example.org:80"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn public_backends() {
        let parse = |text: &str| {
            text.parse::<PublicBackend>()
                .map(|b| format!("{} {} {}", b.host, b.port, b.namespace))
        };
        assert_eq!(
            parse("hub.example.org").unwrap(),
            "hub.example.org 9900 default"
        );
        assert_eq!(parse("h:1/ns").unwrap(), "h 1 ns");
        assert_eq!(
            parse("[2001:db8::1]:9901").unwrap(),
            "2001:db8::1 9901 default"
        );
        assert_eq!(parse("2001:db8::1").unwrap(), "2001:db8::1 9900 default");
        for wrong in ["", ":9900", "h:0", "h:x", "h/", "a b", "h/a/b", "me@h"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_comma_inside_braces_does_not_cut() {
        assert_eq!(list("a,b  c"), ["a", "b", "c"]);
        assert_eq!(list("tf-{zos,vms}*, alice"), ["tf-{zos,vms}*", "alice"]);
        assert_eq!(list(" , "), [""; 0]);
    }
}
