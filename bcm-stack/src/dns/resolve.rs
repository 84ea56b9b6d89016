//! Asks name servers for the names of a mirror.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::Lookup;
use crate::domain::Domain;

/// How long a server may take to answer one question; it is asked twice.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long all questions together may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("could not find out which name servers this machine uses")]
pub struct NoResolver(#[source] NetError);

/// Looks up A and AAAA of each of [`Domain::names`], all at once: at `server`, or at the name
/// servers that this machine's `/etc/resolv.conf` names. `/etc/hosts` does not count: it says
/// nothing of what others see.
///
/// # Errors
/// `/etc/resolv.conf` cannot be read. A name without an answer is a [`Lookup::Failed`].
pub async fn resolve(
    domain: &Domain,
    server: Option<SocketAddr>,
) -> Result<[Lookup; 3], NoResolver> {
    let builder = match server {
        Some(server) => TokioResolver::builder_with_config(
            ResolverConfig::from_name_servers(vec![name_server(server)]),
            TokioRuntimeProvider::default(),
        ),
        None => TokioResolver::builder_tokio().map_err(NoResolver)?,
    };
    let resolver = builder
        .with_options(options())
        .build()
        .map_err(NoResolver)?;
    let [hub, bootstrap, unsecure] = domain.names();
    let (hub, bootstrap, unsecure) = tokio::join!(
        addresses(&resolver, &hub),
        addresses(&resolver, &bootstrap),
        addresses(&resolver, &unsecure)
    );
    Ok([hub, bootstrap, unsecure])
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = PATIENCE;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// Both kinds of addresses of `name`.
async fn addresses(resolver: &TokioResolver, name: &str) -> Lookup {
    // With the root's dot, no search domain is tried.
    let full = format!("{name}.");
    let both = async {
        tokio::join!(
            resolver.lookup(full.as_str(), RecordType::A),
            resolver.lookup(full.as_str(), RecordType::AAAA)
        )
    };
    let Ok((four, six)) = tokio::time::timeout(DEADLINE, both).await else {
        return Lookup::Failed(format!("no answer within {} s", DEADLINE.as_secs()));
    };
    let mut found = Vec::new();
    for looked_up in [four, six] {
        match looked_up {
            Ok(answer) => found.extend(answer.answers().iter().filter_map(|record| {
                match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    // The way there, such as a CNAME.
                    _ => None,
                }
            })),
            Err(error) if has_none(&error) => {}
            Err(error) => return Lookup::Failed(error.to_string()),
        }
    }
    Lookup::Addresses(found)
}

/// Whether the answer is that there is no such record, rather than no answer.
fn has_none(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(none))
        if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain))
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::{Message, OpCode};
    use hickory_resolver::proto::rr::{Record, rdata};
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that has an address of each kind for the hub, one for the bootstrap, and
    /// answers `other` for the rest.
    async fn name_server(other: ResponseCode) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = Message::response(query.id, OpCode::Query);
                let question = query.queries[0].clone();
                let name = question.name().to_string();
                let data = match (name.split('.').next(), question.query_type()) {
                    (Some("hub"), RecordType::A) => Some(RData::A(rdata::A::new(203, 0, 113, 7))),
                    (Some("hub"), RecordType::AAAA) => Some(RData::AAAA(rdata::AAAA::new(
                        0x2001, 0xdb8, 0, 0, 0, 0, 0, 7,
                    ))),
                    (Some("bootstrap"), RecordType::A) => {
                        Some(RData::A(rdata::A::new(203, 0, 113, 8)))
                    }
                    (Some("bootstrap"), _) => None,
                    _ => {
                        answer.metadata.response_code = other;
                        None
                    }
                };
                if let Some(data) = data {
                    answer.add_answer(Record::from_rdata(question.name().clone(), 60, data));
                }
                answer.add_query(question);
                let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_is_asked_for_both_kinds_and_a_name_without_any_has_none() {
        let domain = Domain::new("example.test").unwrap();
        let server = name_server(ResponseCode::NXDomain).await;
        let [hub, bootstrap, unsecure] = resolve(&domain, Some(server)).await.unwrap();
        let addresses = |texts: &[&str]| {
            Lookup::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
        };
        assert_eq!(hub, addresses(&["203.0.113.7", "2001:db8::7"]));
        assert_eq!(bootstrap, addresses(&["203.0.113.8"]));
        assert_eq!(unsecure, addresses(&[]));
    }

    #[tokio::test]
    async fn a_server_that_refuses_says_nothing_of_the_name() {
        let domain = Domain::new("example.test").unwrap();
        let server = name_server(ResponseCode::Refused).await;
        let [hub, _, unsecure] = resolve(&domain, Some(server)).await.unwrap();
        assert!(matches!(hub, Lookup::Addresses(found) if found.len() == 2));
        assert!(matches!(unsecure, Lookup::Failed(_)), "{unsecure:?}");
    }
}
