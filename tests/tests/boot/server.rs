//! The servers that a machine finds: the Bootstrap's own over a folder, behind a proxy that notes what
//! was asked, and one for names, which knows none.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bcm_bootstrap_sync::image::Medium;
use bcm_bootstrap_sync::ipxe::{BootScript, ServerUrl};
use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
use bcm_core::http::header::HOST as HOST_HEADER;
use bcm_core::http::{HttpClient, HttpOptions, Request};
use libtest_mimic::Failed;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// This host as machines see it.
const HOST: &str = "10.0.2.2";

/// The largest medium, with room to spare.
const MEDIUM: u64 = 64 << 20;

/// A server that runs until this is dropped.
pub(crate) struct Server {
    url: ServerUrl,
    /// Where it listens, past the proxy.
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

impl Server {
    /// Serves a folder in `work` in which the run mode prod leads to `kernel`, and media made of the
    /// iPXE in `ipxe`.
    pub(crate) fn start(work: &Path, kernel: &Path, ipxe: Vec<PathBuf>) -> Result<Self, Failed> {
        answer_names()?;
        let layout = Layout::new(work.join("data"));
        fs::create_dir_all(layout.links())?;
        fs::copy(kernel, layout.kernels().join("stand-in.efi"))?;
        symlink("../stand-in.efi", layout.links().join("prod.efi"))?;
        let mut options = ServeOptions::new(layout, vec![SocketAddr::from(([127, 0, 0, 1], 0))]);
        options.ipxe = ipxe;
        let runtime = Runtime::new()?;
        let server = {
            let _inside = runtime.enter();
            BootstrapServer::bind(options)?
        };
        let address = server.local_addrs()[0];
        runtime.spawn(server.run(CancellationToken::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let port = note_requests(address, Arc::clone(&requests))?;
        Ok(Self {
            url: ServerUrl::new(&format!("http://{HOST}:{port}"))?,
            address,
            requests,
            runtime,
        })
    }

    /// Its address as machines see it.
    pub(crate) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Downloads a medium with this script, as a person does who reaches it by the name that machines
    /// have for it.
    pub(crate) fn medium(&self, medium: Medium, script: &BootScript) -> Result<Vec<u8>, Failed> {
        let path = script.path().ok_or("the script has no path")?;
        let url = format!("http://{}/{}{path}", self.address, medium.name());
        let request = Request::get(url.parse()?).with_header(HOST_HEADER, self.url.authority());
        let bytes = self.runtime.block_on(async {
            let client = HttpClient::new(HttpOptions::default())?;
            client.send(request).await?.success()?.bytes(MEDIUM).await
        })?;
        Ok(bytes.to_vec())
    }

    /// The paths that machines asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Listens on a port of its own, passes all connections on to `to`, and notes the paths that are asked
/// for. The port.
fn note_requests(to: SocketAddr, noted: Arc<Mutex<Vec<String>>>) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(to) else {
                continue;
            };
            let (Ok(back), Ok(answers)) = (near.try_clone(), far.try_clone()) else {
                continue;
            };
            let noted = Arc::clone(&noted);
            std::thread::spawn(move || pass(near, far, |line| note(line, &noted)));
            std::thread::spawn(move || pass(answers, back, |_| ()));
        }
    });
    Ok(port)
}

/// Passes one direction on until either end closes it, and shows each whole line of it.
fn pass(mut from: TcpStream, mut to: TcpStream, mut line: impl FnMut(&[u8])) {
    let (mut piece, mut begun) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(count) = from.read(&mut piece)
        && count > 0
    {
        for part in piece[..count].split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(part);
            if begun.ends_with(b"\n") {
                line(&begun);
                begun.clear();
            }
        }
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    // Whoever waits for more learns that there is none.
    let _ = to.shutdown(Shutdown::Write);
}

/// Notes the path of a request's first line.
fn note(line: &[u8], noted: &Mutex<Vec<String>>) {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    if let (Some("GET" | "HEAD"), Some(path), Some(version)) =
        (words.next(), words.next(), words.next())
        && version.starts_with("HTTP/")
    {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(path.to_owned());
    }
}

/// Says of every name that there is none (RFC 1035, 4.1.1), from now on: scripts ask for the time, and
/// no answer at all would make them wait.
fn answer_names() -> std::io::Result<()> {
    static SOCKET: OnceLock<Result<(), std::io::ErrorKind>> = OnceLock::new();
    let started = SOCKET.get_or_init(|| {
        let socket = UdpSocket::bind("127.0.0.1:53").map_err(|error| error.kind())?;
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut query) {
                if len >= 12 {
                    query[2] |= 0x80;
                    query[3] = 0x83;
                    // Who does not get this asks again.
                    let _ = socket.send_to(&query[..len], from);
                }
            }
        });
        Ok(())
    });
    (*started).map_err(Into::into)
}
