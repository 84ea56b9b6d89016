//! Who is connected, within limits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::ServeLimits;

/// Who is connected.
#[derive(Debug, Default)]
pub(super) struct Connections {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; freed when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr, limits: &ServeLimits) -> Option<Place> {
        let address = counted_as(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        // On this machine that is mostly a proxy, which speaks for everybody.
        let crowded =
            of_address >= limits.connections_per_address && !peer.to_canonical().is_loopback();
        if counts.all >= limits.connections || crowded {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_address + 1);
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .connections
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// One customer has one IPv4 address, or one /64 network of IPv6.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_freed() {
        let connections = Arc::new(Connections::default());
        let limits = ServeLimits {
            connections: 3,
            connections_per_address: 2,
            ..ServeLimits::default()
        };
        let enter = |address: &str| connections.enter(address.parse().unwrap(), &limits);
        let first = enter("::ffff:192.0.2.1");
        assert!(first.is_some());
        let second = enter("192.0.2.1");
        assert!(second.is_some());
        assert!(enter("192.0.2.1").is_none());
        let other = enter("2001:db8::1");
        assert!(other.is_some());
        assert!(enter("2001:db8:1::1").is_none());
        drop((first, second));
        let same_network = enter("2001:db8::2:3");
        assert!(same_network.is_some());
        assert!(enter("2001:db8::4").is_none());
        drop((other, same_network));
        let proxied = [enter("127.0.0.1"), enter("::1"), enter("127.0.0.1")];
        assert!(proxied.iter().all(Option::is_some));
        assert!(enter("127.0.0.1").is_none());
        drop(proxied);
        assert_eq!(connections.counts.lock().unwrap().by_address.len(), 0);
    }
}
