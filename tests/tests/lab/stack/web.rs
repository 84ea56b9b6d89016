//! A client that asks by name, over HTTP or HTTPS, whichever member answers first: what a node or a browser
//! does with a name that has several addresses.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use libtest_mimic::Failed;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// How long an address has to be connected to before the next is tried.
const CONNECT: Duration = Duration::from_secs(2);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// A client that knows the members' addresses and the mirror's root.
#[derive(Clone)]
pub(super) struct Web {
    addresses: Vec<Ipv4Addr>,
    tls: Arc<ClientConfig>,
}

impl Web {
    pub(super) fn new(addresses: &[Ipv4Addr], root: &str) -> Result<Self, Failed> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            addresses: addresses.to_vec(),
            tls: Arc::new(tls),
        })
    }

    /// The same, with the members in another order.
    pub(super) fn beginning_with(&self, first: Ipv4Addr) -> Self {
        let mut addresses = self.addresses.clone();
        addresses.sort_by_key(|address| *address != first);
        Self {
            addresses,
            tls: Arc::clone(&self.tls),
        }
    }

    /// Status and body of what is at `url`.
    pub(super) fn get(&self, url: &str) -> Result<(u16, Vec<u8>), String> {
        self.ask("GET", url, "", &[])
    }

    /// Uploads `content` as the file `name`, as a form does, with a token.
    pub(super) fn upload(
        &self,
        url: &str,
        token: &str,
        name: &str,
        content: &[u8],
    ) -> Result<(u16, String), String> {
        let mut body = format!(
            "--part\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--part--\r\n");
        let headers = format!(
            "Authorization: bearer {token}\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary=part\r\n",
            body.len()
        );
        let (status, answer) = self.ask("POST", url, &headers, &body)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }

    fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &str,
        content: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
        let (host, path) = rest.split_once('/').ok_or("no path")?;
        let port = if scheme == "https" { 443 } else { 80 };
        let stream = self.connect(port)?;
        let head = format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
        let request = [head.as_bytes(), content].concat();
        let mut answer = Vec::new();
        let read = if scheme == "https" {
            let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
            let session = ClientConnection::new(Arc::clone(&self.tls), name);
            let mut tls = StreamOwned::new(session.map_err(|e| e.to_string())?, stream);
            exchange(&mut tls, &request, &mut answer)
        } else {
            let mut stream = stream;
            exchange(&mut stream, &request, &mut answer)
        };
        read.map_err(|error| format!("{url}: {error}"))?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or_else(|| format!("{url}: cut off after {} bytes", answer.len()))?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let body = answer.split_off(end + 4);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is = name.eq_ignore_ascii_case("content-length");
            is.then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        if length.is_some_and(|length| length != body.len()) {
            return Err(format!("{url}: cut off after {} bytes", body.len()));
        }
        Ok((status.unwrap_or(0), body))
    }

    /// The body of what has to be there.
    pub(super) fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        match self.get(url)? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("{url}: status {status}")),
        }
    }

    fn connect(&self, port: u16) -> Result<TcpStream, String> {
        let mut last = "no address".to_owned();
        for address in &self.addresses {
            let at = SocketAddr::from((*address, port));
            match TcpStream::connect_timeout(&at, CONNECT) {
                Ok(stream) => {
                    let limit = Some(ANSWER);
                    let set = stream
                        .set_read_timeout(limit)
                        .and(stream.set_write_timeout(limit));
                    set.map_err(|e| e.to_string())?;
                    return Ok(stream);
                }
                Err(error) => last = format!("{at}: {error}"),
            }
        }
        Err(last)
    }
}

fn exchange(
    stream: &mut (impl Read + Write),
    request: &[u8],
    answer: &mut Vec<u8>,
) -> std::io::Result<()> {
    stream.write_all(request)?;
    match stream.read_to_end(answer) {
        // Whether all of it came, its length says.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        result => result.map(|_| ()),
    }
}

/// Downloads in a loop, one after the other, until it is told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Load {
    pub(super) fn start(web: &Web, urls: &[String]) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (over, count): (_, Arc<AtomicUsize>) = (Arc::clone(&stop), Arc::clone(&asked));
        let (web, urls) = (web.clone(), urls.to_vec());
        let thread = std::thread::spawn(move || {
            let mut failures = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                if let Err(error) = web.fetch(&urls[number % urls.len()]) {
                    failures.push(error);
                }
                count.store(number + 1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            failures
        });
        Self {
            stop,
            asked,
            thread,
        }
    }

    /// Waits until this many more have been asked for, or the loop has ended.
    pub(super) fn wait_for(&self, more: usize) {
        let enough = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < enough && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many were asked for, and what failed.
    pub(super) fn end(self) -> Result<(usize, Vec<String>), Failed> {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.thread.join().map_err(|_| "the load panicked")?;
        Ok((self.asked.load(Ordering::Relaxed), failures))
    }
}
