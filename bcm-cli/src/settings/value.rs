//! The values that flags, variables and `bcm.toml` have in common, read from text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bcm_bootstrap_sync::run_mode::{RunMode, RunModes};
use bcm_bootstrap_sync::serve::{InvalidProvision, Mac, Provision};
use bcm_hub_sync::catalog::selection::Selection;
use bcm_hub_sync::flist::Backend;
use bcm_hub_sync::zdb::ZdbAddress;

/// A path.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("a path has at least one character".to_owned()),
        text => Ok(PathBuf::from(text)),
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

/// A whole number and one of `units`, each with what it stands for. `None` where it is not one, or is too large.
pub(super) fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Bytes a second: `500k`, `10M`, `1G`, by thousands.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    /// So that no download looks as if its server were dripping.
    const LEAST: u64 = 10_000;
    const UNITS: [(&str, u64); 5] = [
        ("", 1),
        ("k", 1_000),
        ("K", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    scaled(text, &UNITS)
        .filter(|rate| *rate >= LEAST)
        .ok_or_else(|| {
            format!("{text:?} is not a rate of at least 10k bytes a second, such as 10M")
        })
}

/// Bytes: `500k`, `10M`, `2G`, by 1,024s.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("", 1),
        ("k", 1 << 10),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("T", 1 << 40),
    ];
    scaled(text, &UNITS)
        .filter(|size| *size >= 1024)
        .ok_or_else(|| format!("{text:?} is not a size of at least 1k, such as 500M or 2G"))
}

/// Requests a second.
pub(crate) fn requests(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    match text.parse::<usize>() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("{text:?} is not a whole number from 1 to {MOST}")),
    }
}

/// A count that may be 0.
pub(crate) fn count_or_none(text: &str) -> Result<usize, String> {
    const MOST: usize = 10_000;
    match text.parse::<usize>() {
        Ok(count) if count <= MOST => Ok(count),
        _ => Err(format!("{text:?} is not a whole number from 0 to {MOST}")),
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

/// A pause: a length of time of at least a second.
pub(crate) fn pause(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a pause has at least one second".to_owned()),
        pause => Ok(pause),
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

/// How far back something goes: a length of time, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window(pub(crate) Option<Duration>);

impl FromStr for Window {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self(None)),
            text => duration(text)
                .map(|d| Self(Some(d)))
                .map_err(|error| format!("{error}, nor the word all")),
        }
    }
}

/// `MODE=TITLE`, or `MODE` alone.
pub(crate) fn run_mode(text: &str) -> Result<(RunMode, String), String> {
    let (mode, title) = text.split_once('=').unwrap_or((text, text));
    let mode = RunMode::new(mode.trim()).map_err(|error| error.to_string())?;
    let one = [(mode.clone(), title.trim().to_owned())];
    // The title is checked, too.
    RunModes::new(one).map_err(|error| error.to_string())?;
    Ok((mode, title.trim().to_owned()))
}

/// `MAC=MODE[/FARM[/EXTRA[/KERNEL]]]`
pub(crate) fn provision(text: &str) -> Result<(Mac, Provision), String> {
    let (mac, words) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not MAC=MODE[/FARM[/EXTRA[/KERNEL]]]"))?;
    let mac: Mac = mac
        .trim()
        .parse()
        .map_err(|e: InvalidProvision| e.to_string())?;
    let words = words.trim().parse();
    Ok((mac, words.map_err(|e: InvalidProvision| e.to_string())?))
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

/// A name server: an address, port 53 where none is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

impl FromStr for NameServer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let alone = bare.unwrap_or(text).parse().ok();
        let with_port = || text.parse().ok();
        alone
            .map(|address: IpAddr| SocketAddr::new(address, 53))
            .or_else(with_port)
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?} is not the address of a name server, such as 9.9.9.9 or [2001:db8::1]:53")
            })
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

/// A glob that matches names of repositories or entries; one that starts with `!` takes out what
/// others take in.
pub(crate) fn glob(text: &str) -> Result<String, String> {
    match Selection::new(&[text], &[] as &[&str], None) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(match std::error::Error::source(&error) {
            Some(why) => format!("{error} ({why})"),
            None => error.to_string(),
        }),
    }
}

/// Where nodes reach this mirror's blocks: `HOST[:PORT][/NAMESPACE]`, by default port 9900 and the
/// namespace `default`.
pub(crate) fn public_backend(text: &str) -> Result<Backend, String> {
    // A password in a published flist is none, so the form has no place for one.
    let address: Option<ZdbAddress> = match text.contains(['@', '?', '#']) {
        true => None,
        false => format!("zdb://{text}").parse().ok(),
    };
    match address {
        Some(address) if !text.contains("//") => Ok(Backend {
            namespace: address.namespace().to_owned(),
            host: address.host().to_owned(),
            port: address.port(),
            password: None,
        }),
        _ => Err(format!(
            "{text:?} is not of the form HOST[:PORT][/NAMESPACE]; an IPv6 address stands in []"
        )),
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
    fn name_servers() {
        let server = |text: &str| {
            text.parse::<NameServer>()
                .map(|server| server.0.to_string())
        };
        assert_eq!(server("9.9.9.9").as_deref(), Ok("9.9.9.9:53"));
        assert_eq!(server("192.0.2.1:5353").as_deref(), Ok("192.0.2.1:5353"));
        assert_eq!(server("2001:db8::1").as_deref(), Ok("[2001:db8::1]:53"));
        assert_eq!(
            server("[2001:db8::1]:5353").as_deref(),
            Ok("[2001:db8::1]:5353")
        );
        for wrong in ["", "dns.example.org", "9.9.9.9:", "[9.9.9.9:53"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }

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
    fn sizes() {
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "G", "1023", "2g", "-1M", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
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
            public_backend(text).map(|b| format!("{} {} {}", b.host, b.port, b.namespace))
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
        for wrong in [
            "",
            ":9900",
            "h:0",
            "h:x",
            "a b",
            "h/a/b",
            "me@h",
            "zdb://h",
            "2001:db8::1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?} {:?}", parse(wrong));
        }
    }

    #[test]
    fn a_comma_inside_braces_does_not_cut() {
        assert_eq!(list("a,b  c"), ["a", "b", "c"]);
        assert_eq!(list("tf-{zos,vms}*, alice"), ["tf-{zos,vms}*", "alice"]);
        assert_eq!(list(" , "), [""; 0]);
    }
}
