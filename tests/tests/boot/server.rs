//! The servers that a machine finds: a bootstrap server, and one for names, which knows none.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use bcm_bootstrap_sync::ipxe::ServerUrl;
use libtest_mimic::Failed;
use tokio::runtime::Runtime;

/// This host as machines see it.
const HOST: &str = "10.0.2.2";

/// A server that runs until this is dropped.
pub(crate) struct Server {
    url: ServerUrl,
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Server {
    /// Serves `kernel` as the one of the run mode prod, and what `script` makes for the server's address
    /// as each boot script.
    pub(crate) fn start(
        kernel: &Path,
        script: impl FnOnce(&ServerUrl) -> Result<String, Failed>,
    ) -> Result<Self, Failed> {
        answer_names()?;
        let kernel = axum::body::Bytes::from(std::fs::read(kernel)?);
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = ServerUrl::new(&format!("http://{HOST}:{}", listener.local_addr()?.port()))?;
        let script = script(&url)?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        let router = Router::new()
            .route("/kernel/net/prod.efi", get(move || async move { kernel }))
            .route("/ipxe/{*script}", get(move || async move { script }))
            .layer(axum::middleware::map_request(move |request: Request| {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push(request.uri().path().to_owned());
                std::future::ready(request)
            }));
        let runtime = Runtime::new()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            requests,
            _runtime: runtime,
        })
    }

    /// Its address as machines see it.
    pub(crate) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// The paths that were asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
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
