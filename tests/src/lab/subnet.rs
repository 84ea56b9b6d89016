//! A network that nothing on this host uses yet.

use std::{net::Ipv4Addr, time::Duration};

use super::{LabError, process};

/// The lab's network: a /24 of 10.0.0.0/8 and a unique local IPv6 /64 (RFC 4193).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subnet {
    /// The address that ends in 0.
    base: Ipv4Addr,
}

impl Subnet {
    /// Takes a free network of this host, trying them in an order that `seed` decides.
    ///
    /// # Errors
    /// When `ip` cannot be run, or every candidate overlaps a route.
    pub(crate) fn choose(seed: u64) -> Result<Self, LabError> {
        let routes = process::succeed(
            process::command("ip").args(["-4", "-j", "route", "show", "table", "all"]),
            None,
            Duration::from_secs(10),
        )?;
        let taken = destinations(&routes.stdout).ok_or_else(|| LabError::Answer {
            what: "ip route".to_owned(),
            answer: process::tail(&routes.stdout, 300),
        })?;
        Self::free(&taken, seed).ok_or(LabError::NoSubnet)
    }

    /// The first candidate that overlaps nothing of `taken`.
    fn free(taken: &[(Ipv4Addr, u8)], seed: u64) -> Option<Self> {
        // 10.128.0.0/9, clear of the low numbers that people give to their own networks.
        const CANDIDATES: u64 = 128 * 256;
        (0..CANDIDATES)
            .map(|n| {
                // An odd step visits each candidate once.
                let n = seed.wrapping_add(n.wrapping_mul(7919)) % CANDIDATES;
                let [.., high, low] = n.to_be_bytes();
                Self {
                    base: Ipv4Addr::new(10, 128 + high, low, 0),
                }
            })
            .find(|subnet| {
                !taken
                    .iter()
                    .any(|&(network, bits)| overlaps(subnet.base, 24, network, bits))
            })
    }

    /// The address with this last number.
    #[must_use]
    pub fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.base.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    /// The host's address, which is the machines' gateway.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The bridge's address, which is the machines' name server.
    #[must_use]
    pub fn name_server(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// The first four groups of the IPv6 network, to be followed by `::NUMBER/64`.
    #[must_use]
    pub fn ipv6_prefix(&self) -> String {
        let [_, b, c, _] = self.base.octets();
        format!("fdbc:1ab:{b:x}:{c:x}")
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/24", self.base)
    }
}

fn overlaps(a: Ipv4Addr, a_bits: u8, b: Ipv4Addr, b_bits: u8) -> bool {
    let bits = a_bits.min(b_bits);
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    u32::from(a) & mask == u32::from(b) & mask
}

/// Where the routes of `ip -j route` lead, without the default route. `None` if it is not JSON.
fn destinations(json: &str) -> Option<Vec<(Ipv4Addr, u8)>> {
    let routes: Vec<serde_json::Value> = serde_json::from_str(json.trim()).ok()?;
    Some(
        routes
            .iter()
            .filter_map(|route| route.get("dst")?.as_str())
            .filter_map(|destination| {
                let (address, bits) = destination.split_once('/').unwrap_or((destination, "32"));
                Some((
                    address.parse().ok()?,
                    bits.parse().ok().filter(|b| *b <= 32)?,
                ))
            })
            // A route to everything says nothing about who uses what.
            .filter(|&(_, bits)| bits > 0)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_in_use_is_passed_over() {
        let first = Subnet::free(&[], 77).unwrap();
        let [_, b, c, _] = first.base.octets();
        for taken in [
            (first.base, 24),
            (Ipv4Addr::new(10, b, c, 200), 32),
            (Ipv4Addr::new(10, b, 0, 0), 16),
        ] {
            let second = Subnet::free(&[taken], 77).unwrap();
            assert_ne!(first, second, "{taken:?}");
        }
    }

    #[test]
    fn nothing_is_found_when_all_is_taken() {
        assert_eq!(Subnet::free(&[(Ipv4Addr::new(10, 0, 0, 0), 8)], 1), None);
    }

    #[test]
    fn every_candidate_is_visited() {
        // All taken but one: it is found from any seed.
        let taken: Vec<_> = (0..=255u8)
            .filter(|c| *c != 9)
            .map(|c| (Ipv4Addr::new(10, 200, c, 0), 24))
            .chain(
                (128..=255u8)
                    .filter(|b| *b != 200)
                    .map(|b| (Ipv4Addr::new(10, b, 0, 0), 16)),
            )
            .collect();
        for seed in [0, 1, u64::MAX, 123_456_789] {
            assert_eq!(
                Subnet::free(&taken, seed).unwrap().base,
                Ipv4Addr::new(10, 200, 9, 0)
            );
        }
    }

    #[test]
    fn routes_are_read() {
        let json = r#"[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24"},
            {"type":"local","dst":"127.0.0.1"},{"dst":"0.0.0.0/0"}]"#;
        assert_eq!(
            destinations(json).unwrap(),
            [
                (Ipv4Addr::new(192, 0, 2, 0), 24),
                (Ipv4Addr::new(127, 0, 0, 1), 32)
            ]
        );
        assert_eq!(destinations("what?"), None);
    }
}
