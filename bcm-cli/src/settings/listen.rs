//! From addresses as they are typed to sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::value::Listen;

/// The sockets that `wanted` means, in its order. Where IPv6 is switched off on this machine,
/// "every address" is every IPv4 address.
pub(crate) fn sockets(wanted: &[Listen]) -> Vec<SocketAddr> {
    let everywhere = wanted
        .iter()
        .any(|listen| matches!(listen, Listen::Everywhere(_)));
    expand(wanted, everywhere && has_ipv6())
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn expand(wanted: &[Listen], ipv6: bool) -> Vec<SocketAddr> {
    let mut sockets: Vec<SocketAddr> = Vec::new();
    for listen in wanted {
        let meant: Vec<SocketAddr> = match listen {
            Listen::At(address) => vec![*address],
            Listen::Everywhere(port) if !ipv6 => vec![(Ipv4Addr::UNSPECIFIED, *port).into()],
            // Two sockets with a picked port each would have different ones; an IPv6 socket alone
            // takes IPv4 as well where the system does so, which is Linux's default.
            Listen::Everywhere(0) => vec![(Ipv6Addr::UNSPECIFIED, 0).into()],
            Listen::Everywhere(port) => vec![
                (Ipv4Addr::UNSPECIFIED, *port).into(),
                (Ipv6Addr::UNSPECIFIED, *port).into(),
            ],
        };
        for socket in meant {
            // Port 0 twice means two ports.
            if socket.port() == 0 || !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
    }
    sockets
}

/// An address that a client on this machine can connect to, for one that is listened on.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            (Ipv4Addr::LOCALHOST, bound.port()).into()
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (Ipv6Addr::LOCALHOST, bound.port()).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(wanted: &[&str], ipv6: bool) -> Vec<String> {
        let wanted: Vec<Listen> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        expand(&wanted, ipv6)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn everywhere_is_both_families() {
        assert_eq!(texts(&[":8080"], true), ["0.0.0.0:8080", "[::]:8080"]);
        assert_eq!(texts(&[":8080"], false), ["0.0.0.0:8080"]);
        assert_eq!(texts(&[":0"], true), ["[::]:0"]);
        assert_eq!(texts(&["127.0.0.1:0", "127.0.0.1:0"], true).len(), 2);
        assert_eq!(
            texts(&[":80", "0.0.0.0:80", "[::1]:81"], true),
            ["0.0.0.0:80", "[::]:80", "[::1]:81"]
        );
    }

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        let reach = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reach("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reach("[::]:80"), "[::1]:80");
        assert_eq!(reach("192.0.2.1:80"), "192.0.2.1:80");
    }
}
