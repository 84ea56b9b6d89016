//! How a Bootstrap is served.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bcm_core::serve::ServeLimits;

use super::route::Words;
use crate::image::Prebuilt;
use crate::ipxe::ServerUrl;
use crate::layout::Layout;
use crate::run_mode::RunModes;

/// What to serve, where, and within which limits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The data folder.
    pub layout: Layout,
    /// Where to listen. Nodes want port 80 at the end of the way to here.
    pub listen: Vec<SocketAddr>,
    /// The run modes that there are; any other is answered with 401.
    pub modes: RunModes,
    /// Where boot scripts fetch kernels from. Default: plain HTTP at the host that the script was asked
    /// of; where a proxy says that this was by HTTPS, at `unsecure.HOST`, for iPXE trusts few
    /// certificates.
    pub boot_url: Option<ServerUrl>,
    /// The scripts of single machines.
    pub provision: BTreeMap<Mac, Provision>,
    /// The Bootstrap that this mirrors, as pages name it.
    pub upstream: Option<String>,
    /// Whether `/metrics` is answered elsewhere, by a [`MetricsServer`](bcm_core::serve::MetricsServer), so
    /// that this server has no such path. Default: no.
    pub metrics_apart: bool,
    /// Where the prebuilt iPXE of boot media is. Default: [`Prebuilt::FOLDERS`].
    pub ipxe: Vec<PathBuf>,
    /// The folder is looked at for changes at most this often. Default: 1 s.
    pub refresh: Duration,
    /// What clients may take.
    pub limits: ServeLimits,
}

impl ServeOptions {
    /// Serves the kernels of `layout` on the addresses `listen` with defaults.
    #[must_use]
    pub fn new(layout: Layout, listen: Vec<SocketAddr>) -> Self {
        Self {
            layout,
            listen,
            modes: RunModes::default(),
            boot_url: None,
            provision: BTreeMap::new(),
            upstream: None,
            metrics_apart: false,
            ipxe: Prebuilt::FOLDERS.map(PathBuf::from).to_vec(),
            refresh: Duration::from_secs(1),
            limits: ServeLimits::default(),
        }
    }
}

/// The hardware address of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// What is registered for a machine: `MODE[/FARM[/EXTRA[/KERNEL]]]`, as in the paths below `/ipxe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision(pub(super) Words);

/// Not a hardware address, or not what can be registered for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct InvalidProvision {
    /// What it is.
    pub text: String,
    /// What it should be.
    pub wanted: &'static str,
}

impl std::str::FromStr for Mac {
    type Err = InvalidProvision;

    /// Six bytes in hexadecimal with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self, InvalidProvision> {
        let wrong = || InvalidProvision {
            text: text.chars().take(40).collect(),
            wanted: "a hardware address such as 52:54:00:12:34:56",
        };
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2);
            let digits = part.filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(digits.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        }
        match parts.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::str::FromStr for Provision {
    type Err = InvalidProvision;

    fn from_str(text: &str) -> Result<Self, InvalidProvision> {
        let segments: Vec<&str> = text.split('/').collect();
        Words::of(&segments)
            .ok()
            .map(Self)
            .ok_or_else(|| InvalidProvision {
                text: text.chars().take(200).collect(),
                wanted: "MODE[/FARM[/EXTRA[/KERNEL]]], such as prod/42",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        let mac: Mac = "52:54:00:AB:cd:01".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:01");
        assert_eq!("52-54-00-ab-cd-01".parse::<Mac>().unwrap(), mac);
        for wrong in [
            "",
            "52:54",
            "52:54:00:ab:cd:01:02",
            "525400abcd01",
            "52:54:00:ab:cd:0g",
            "+1:54:00:ab:cd:01",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
        assert!("prod/42/console=ttyS0".parse::<Provision>().is_ok());
        assert!("prod/42/a\nb".parse::<Provision>().is_err());
        assert!("".parse::<Provision>().is_err());
    }
}
