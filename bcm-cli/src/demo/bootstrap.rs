//! A small Bootstrap that is made up on the spot: a few kernels that boot nothing, and the run modes.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::serve::{BootstrapServer, ServeOptions};
use bcm_core::http::Url;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::hub::EPOCH;
use super::trees::set_time;
use super::{DemoError, io_error, temporary_folder};
use crate::diagnostics::Failure;

const DAY: i64 = 24 * 60 * 60;

/// The kernels: name, bytes, days after the epoch of the demo.
const KERNELS: &[(&str, usize, i64)] = &[
    ("zero-os-production-zos-v3-generic-1c0de5.efi", 900_000, 3),
    ("zero-os-testing-zos-v3-generic-7e57ed.efi", 950_000, 20),
    (
        "zero-os-development-zos-v3-generic-de7e10.efi",
        1_000_000,
        40,
    ),
];

/// The run modes, and which of the kernels each boots.
const MODES: &[(&str, usize)] = &[("prod", 0), ("test", 1), ("dev", 2), ("qa", 1)];

/// A made-up Bootstrap that is being served.
pub(crate) struct BootstrapOrigin {
    /// Its address.
    pub(crate) url: Url,
    server: JoinHandle<()>,
    cancel: CancellationToken,
    _folder: TempDir,
}

impl BootstrapOrigin {
    /// Makes it in a temporary folder and serves it on loopback, on a port that the system picks.
    ///
    /// # Errors
    /// It cannot be made or served.
    pub(crate) fn start() -> Result<Self, Failure> {
        let folder = temporary_folder("bcm-demo-bootstrap.").map_err(Failure::new)?;
        let layout = Layout::new(folder.path());
        make(&layout).map_err(Failure::new)?;
        let options = ServeOptions::new(layout, vec![(Ipv4Addr::LOCALHOST, 0).into()]);
        let server = BootstrapServer::bind(options).map_err(Failure::new)?;
        let url = server.local_addrs().first();
        let url = url.and_then(|address| format!("http://{address}/").parse().ok());
        let url = url.ok_or_else(|| Failure::new(DemoError::Address))?;
        let cancel = CancellationToken::new();
        Ok(Self {
            url,
            server: tokio::spawn(server.run(cancel.clone())),
            cancel,
            _folder: folder,
        })
    }

    /// Stops serving and removes what was made.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        // It only ends.
        let _ = self.server.await;
    }
}

fn make(layout: &Layout) -> Result<(), DemoError> {
    let links = layout.links();
    fs::create_dir_all(&links).map_err(io_error(&links))?;
    for (name, size, day) in KERNELS {
        let path = layout.kernels().join(name);
        fs::write(&path, content(name, *size)).map_err(io_error(&path))?;
        set_time(&path, EPOCH + day * DAY).map_err(io_error(&path))?;
    }
    for (mode, kernel) in MODES {
        let path = links.join(format!("{mode}.efi"));
        let target = format!("../{}", KERNELS[*kernel].0);
        symlink(target, &path).map_err(io_error(&path))?;
    }
    Ok(())
}

/// The same bytes for the same name, and others for any other.
fn content(name: &str, size: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }) | 1;
    let mut bytes =
        format!("A made-up kernel of a demonstration, {name}. It boots nothing.\n").into_bytes();
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
