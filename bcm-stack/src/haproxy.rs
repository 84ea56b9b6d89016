//! HAProxy in front of the 0-db servers of several replicas: what Caddy is for HTTP.

use crate::address::is_address;

/// The port that nodes get blocks from.
pub const ZDB_PORT: u16 = 9900;

/// Where HAProxy listens and leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZdbFront {
    /// The port that it listens on, of all addresses of both kinds. See [`ZDB_PORT`].
    pub port: u16,
    /// The replicas' 0-db servers, each `HOST:PORT`, as they are reached from every front.
    pub backends: Vec<String>,
    /// Whether the first replica has all connections as long as it answers, rather than each its share.
    pub first: bool,
    /// The port of each replica at which its Hub answers `/healthz`. A replica whose first sync has not ended
    /// answers by 0-db's protocol, too, and lacks blocks; with this it gets no connections before.
    pub health: Option<u16>,
}

/// A front cannot be written into HAProxy's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidZdbFront {
    /// There is nothing that it could lead to.
    #[error("a front was given no 0-db server to lead to")]
    NoBackend,
    /// What should be an address and a port is not.
    #[error(
        "{0:?} is not HOST:PORT; an IPv6 address belongs in brackets, as in [2001:db8::1]:9900"
    )]
    Address(String),
}

/// The file that HAProxy 2.6 and later reads, for the service as Debian packages it.
///
/// A connection goes to the server that has the fewest. A server that leaves `PING` unanswered twice is left
/// out after about 6 seconds, and its connections are ended, so that clients come again and get another;
/// before that, one that refuses a connection costs its client a second. How long clients may be silent is the servers'
/// own rule (15 minutes, where nothing else was said); here it is longer.
///
/// # Errors
/// See [`InvalidZdbFront`].
pub fn haproxy_cfg(front: &ZdbFront) -> Result<String, InvalidZdbFront> {
    let ZdbFront {
        port,
        backends,
        first,
        health,
    } = front;
    if backends.is_empty() {
        return Err(InvalidZdbFront::NoBackend);
    }
    let mut servers = String::new();
    for (at, backend) in backends.iter().enumerate() {
        if !is_address(backend) {
            return Err(InvalidZdbFront::Address(backend.clone()));
        }
        let backup = if *first && at > 0 { " backup" } else { "" };
        servers.push_str(&format!("    server replica{} {backend}{backup}\n", at + 1));
    }
    let health = health.map_or(String::new(), |port| {
        format!(
            r"    # And its Hub, whether it has what it is to have.
    tcp-check connect port {port}
    tcp-check send GET\ /healthz\ HTTP/1.0\r\n\r\n
    tcp-check expect rstring ^HTTP/1\.[01]\ 200
"
        )
    });
    Ok(format!(
        "{BEGINNING}    bind :::{port} v4v6\n{CHECK}{health}{SERVERS}{servers}"
    ))
}

const BEGINNING: &str = "\
global
    chroot /var/lib/haproxy
    user haproxy
    group haproxy
    # What is open stays open when the file is read again, but not for days.
    stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners
    hard-stop-after 30m
    maxconn 4000

defaults
    mode tcp
    timeout connect 1s
    timeout check 2s
    # Nodes keep connections in pools; the server ends those that it finds too long silent.
    timeout client 1h
    timeout server 1h
    timeout client-fin 30s
    timeout server-fin 30s
    # Those whose other end is gone without a word.
    option clitcpka
    option srvtcpka
    # A server that cannot be connected to: the next one at once.
    retries 3
    option redispatch 1

listen zdb
";

const CHECK: &str = r"    balance leastconn
    option tcp-check
    tcp-check connect
    # PING, as the protocol has it: an array of one string.
    tcp-check send *1\r\n$4\r\nPING\r\n
    tcp-check expect string +PONG
";

const SERVERS: &str = "\
    \x20   default-server check inter 2s fastinter 500ms downinter 1s fall 2 rise 1 observe layer4 error-limit 1 on-error fastinter on-marked-down shutdown-sessions
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_asked_how_it_is_and_both_kinds_of_address_are_listened_on() {
        let file = haproxy_cfg(&ZdbFront {
            port: ZDB_PORT,
            health: Some(8080),
            backends: vec!["10.0.0.1:9900".into(), "[2001:db8::2]:9900".into()],
            first: false,
        })
        .unwrap();
        assert!(file.contains("\n    bind :::9900 v4v6\n"), "{file}");
        assert!(
            file.ends_with(
                "\n    server replica1 10.0.0.1:9900\n    server replica2 [2001:db8::2]:9900\n"
            ),
            "{file}"
        );
        // What is said of servers in general has to come before them.
        assert!(file.find("default-server check").unwrap() < file.find("server replica1").unwrap());
        assert!(file.contains(r"tcp-check send *1\r\n$4\r\nPING\r\n"));
        let hub = "    tcp-check connect port 8080\n    tcp-check send GET\\ /healthz\\ HTTP/1.0";
        assert!(file.contains(hub), "{file}");
    }

    #[test]
    fn what_is_no_address_gets_into_no_file() {
        let cfg = |backends: &[&str]| {
            haproxy_cfg(&ZdbFront {
                port: ZDB_PORT,
                health: None,
                backends: backends.iter().map(|text| (*text).to_owned()).collect(),
                first: false,
            })
        };
        assert_eq!(cfg(&[]), Err(InvalidZdbFront::NoBackend));
        let bad = "a:9900\n    server b:9900";
        assert_eq!(
            cfg(&["a:9900", bad]),
            Err(InvalidZdbFront::Address(bad.to_owned()))
        );
    }
}
