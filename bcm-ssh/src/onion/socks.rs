//! Connections through a Tor's SOCKS port.
//!
//! This is the little of RFC 1928 that Tor needs, and not a crate for it, because of the replies: with
//! `ExtendedErrors` on its port, Tor says by codes of its own (0xF0 to 0xF7, Tor's proposal 304)
//! whether a service is not there or its client's key is wrong. Those crates that are well kept know
//! the standard's codes alone.

use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Where a Tor takes SOCKS connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocksAddress {
    /// `ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// A text is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not where a SOCKS server is: ADDRESS:PORT, such as 127.0.0.1:9050, or unix:/PATH"
)]
pub struct InvalidSocksAddress(String);

impl FromStr for SocksAddress {
    type Err = InvalidSocksAddress;

    fn from_str(text: &str) -> Result<Self, InvalidSocksAddress> {
        let invalid = || InvalidSocksAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(invalid()),
            };
        }
        let text = text
            .strip_prefix("localhost:")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        text.parse().map(Self::Tcp).map_err(|_| invalid())
    }
}

impl fmt::Display for SocksAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// No connection through Tor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocksError {
    /// No Tor is there.
    #[error("no Tor answers at {proxy}")]
    Proxy {
        /// Where it should be.
        proxy: SocksAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is there does not speak SOCKS version 5 without a password.
    #[error("what listens at {0} is no SOCKS 5 server that takes anybody")]
    NotSocks(SocksAddress),
    /// The service wants a client's key, and this Tor has none for it.
    #[error("{host} is there, but takes authorised clients only, and this Tor has no key for it")]
    NoKey {
        /// The service.
        host: String,
    },
    /// This Tor has a key for it that does not fit.
    #[error("{host} is there, but the client's key for it is wrong")]
    WrongKey {
        /// The service.
        host: String,
    },
    /// Nobody published such a service.
    #[error("no onion service {host} is announced: its machine or its Tor is off, or was never on")]
    NotFound {
        /// The service.
        host: String,
    },
    /// It was announced, but does not answer.
    #[error("the onion service {host} is announced but does not answer ({why})")]
    Unreachable {
        /// The service.
        host: String,
        /// What Tor says.
        why: &'static str,
    },
    /// The service answers, and nothing listens behind it.
    #[error("the onion service {host} answers, but nothing listens on port {port} there")]
    Refused {
        /// The service.
        host: String,
        /// The port.
        port: u16,
    },
    /// Another reply.
    #[error("Tor cannot connect to {host}: {}", reply(*code))]
    Reply {
        /// The service.
        host: String,
        /// The reply's code.
        code: u8,
    },
    /// The deadline passed.
    #[error("no connection to {host} within {} s", limit.as_secs())]
    Late {
        /// The service.
        host: String,
        /// The deadline.
        limit: Duration,
    },
}

fn reply(code: u8) -> String {
    match code {
        0x01 => "it has no way to it (its log may say more)".to_owned(),
        0x02 => "its settings do not allow it".to_owned(),
        0x03 | 0x04 => "it is out of reach, or this Tor has no key for it".to_owned(),
        0x06 => "it did not answer in time".to_owned(),
        0x07 | 0x08 => "that server does not take names".to_owned(),
        other => format!("reply {other:#04x}"),
    }
}

/// Asks the Tor at `proxy` for a connection to `port` of `host`, whose name is Tor's business alone.
///
/// # Cancel safety
/// Dropping the future closes the connection.
///
/// # Errors
/// See [`SocksError`].
pub async fn connect(
    proxy: &SocksAddress,
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<Box<dyn Stream>, SocksError> {
    let connecting = async {
        let unanswered = |source| SocksError::Proxy {
            proxy: proxy.clone(),
            source,
        };
        let mut stream: Box<dyn Stream> = match proxy {
            SocksAddress::Tcp(address) => {
                Box::new(TcpStream::connect(address).await.map_err(unanswered)?)
            }
            SocksAddress::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(unanswered)?)
            }
        };
        match ask(&mut stream, host, port).await.map_err(unanswered)? {
            None => Err(SocksError::NotSocks(proxy.clone())),
            Some(0) => Ok(stream),
            Some(code) => Err(refusal(code, host, port)),
        }
    };
    timeout(limit, connecting).await.unwrap_or_else(|_| {
        Err(SocksError::Late {
            host: host.to_owned(),
            limit,
        })
    })
}

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The reply's code; `None` where it is none of SOCKS 5.
async fn ask(stream: &mut dyn Stream, host: &str, port: u16) -> io::Result<Option<u8>> {
    // Version 5, one method: no authentication.
    stream.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    if method != [5, 0] {
        return Ok(None);
    }
    let length = u8::try_from(host.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name is too long"))?;
    // Version 5, connect, reserved, a name.
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    let [version, code, _, kind] = answer;
    if version != 5 {
        return Ok(None);
    }
    if code != 0 {
        return Ok(Some(code));
    }
    // The address that it is bound to, which nobody needs.
    let rest = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Ok(None),
    };
    let mut bound = vec![0; rest + 2];
    stream.read_exact(&mut bound).await?;
    Ok(Some(0))
}

fn refusal(code: u8, host: &str, port: u16) -> SocksError {
    let host = host.to_owned();
    let unreachable = |host, why| SocksError::Unreachable { host, why };
    match code {
        0xF0 => SocksError::NotFound { host },
        0xF1 => unreachable(host, "its announcement is invalid"),
        0xF2 => unreachable(host, "its introduction points are gone"),
        0xF3 => unreachable(host, "the meeting failed"),
        0xF4 => SocksError::NoKey { host },
        0xF5 => SocksError::WrongKey { host },
        0xF7 => unreachable(host, "its introduction points do not answer"),
        0x05 => SocksError::Refused { host, port },
        code => SocksError::Reply { host, code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A server that answers the greeting and the request with these bytes.
    async fn server(method: &'static [u8], answer: &'static [u8]) -> SocksAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 1, 0]);
            stream.write_all(method).await.unwrap();
            let mut request = [0; 4 + 1 + 7 + 2];
            if stream.read_exact(&mut request).await.is_ok() {
                assert_eq!(&request, b"\x05\x01\x00\x03\x07a.onion\x00\x16");
                stream.write_all(answer).await.unwrap();
            }
        });
        SocksAddress::Tcp(address)
    }

    async fn error(method: &'static [u8], answer: &'static [u8]) -> SocksError {
        let proxy = server(method, answer).await;
        connect(&proxy, "a.onion", 22, LIMIT).await.err().unwrap()
    }

    #[tokio::test]
    async fn what_follows_the_reply_is_the_connection() {
        for bound in [
            &b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x16SSH-"[..],
            b"\x05\x00\x00\x03\x01x\x00\x16SSH-",
            b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00\x16SSH-",
        ] {
            let proxy = server(b"\x05\x00", bound).await;
            let mut stream = connect(&proxy, "a.onion", 22, LIMIT).await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "SSH-");
        }
    }

    #[tokio::test]
    async fn reasons_are_told_apart() {
        macro_rules! reply {
            ($code:literal) => {
                error(b"\x05\x00", &[5, $code, 0, 1, 0, 0, 0, 0, 0, 0]).await
            };
        }
        assert!(matches!(reply!(0xF0), SocksError::NotFound { .. }));
        assert!(matches!(reply!(0xF4), SocksError::NoKey { .. }));
        assert!(matches!(reply!(0xF5), SocksError::WrongKey { .. }));
        assert!(matches!(reply!(0xF7), SocksError::Unreachable { .. }));
        assert!(matches!(reply!(5), SocksError::Refused { port: 22, .. }));
        assert!(matches!(reply!(1), SocksError::Reply { code: 1, .. }));
    }

    #[tokio::test]
    async fn what_is_no_socks_server_is_named() {
        assert!(matches!(error(b"HT", b"").await, SocksError::NotSocks(_)));
        assert!(matches!(
            error(b"\x05\xff", b"").await,
            SocksError::NotSocks(_)
        ));
        // Hung up in the middle.
        assert!(matches!(
            error(b"\x05\x00", b"\x05").await,
            SocksError::Proxy { .. }
        ));
        let nobody = "unix:/nonexistent/socks".parse().unwrap();
        let nobody = connect(&nobody, "a.onion", 22, LIMIT).await.err().unwrap();
        assert!(
            nobody.to_string().contains("/nonexistent/socks"),
            "{nobody}"
        );
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = SocksAddress::Tcp(listener.local_addr().unwrap());
        let error = connect(&proxy, "a.onion", 22, Duration::from_millis(10))
            .await
            .err()
            .unwrap();
        assert!(matches!(error, SocksError::Late { .. }));
    }

    #[test]
    fn addresses_are_read_back() {
        for text in ["127.0.0.1:9050", "[::1]:9150", "unix:/run/tor/socks"] {
            assert_eq!(text.parse::<SocksAddress>().unwrap().to_string(), text);
        }
        assert_eq!(
            "localhost:9050"
                .parse::<SocksAddress>()
                .unwrap()
                .to_string(),
            "127.0.0.1:9050"
        );
        for text in ["", "9050", "unix:run", "tor:9050", "127.0.0.1"] {
            assert!(text.parse::<SocksAddress>().is_err(), "{text}");
        }
    }
}
