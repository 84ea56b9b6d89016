//! BCM's own 0-db server over any store, on loopback: a quick source of blocks for benches and for work by
//! hand. Tests of the protocol use what was written from the recordings instead.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::zdb::server::{ZdbServer, ZdbServerOptions};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Serves `store` on a port that the system picks, as long as `runtime` is there.
pub fn serve_blocks(runtime: &Runtime, store: impl BlockStore + 'static) -> SocketAddr {
    let options = ZdbServerOptions {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..ZdbServerOptions::default()
    };
    let server = runtime.block_on(ZdbServer::bind(options, Arc::new(store)));
    let server = server.expect("a port");
    let address = server.local_addrs()[0];
    runtime.spawn(server.run(CancellationToken::new()));
    address
}
