//! What `bcm hub serve` works with.

use std::net::SocketAddr;
use std::time::Duration;

use bcm_hub_sync::flist::Backend;

use super::listen::sockets;
use super::value::Listen;
use super::{Settings, SettingsError, key};
use crate::args::hub::{PublicArgs, ServeArgs};

/// Where to listen, and what to say of it.
#[derive(Debug, Clone)]
pub(crate) struct ServeSettings {
    /// For HTTP.
    pub(crate) http: Vec<SocketAddr>,
    /// For 0-db's protocol.
    pub(crate) zdb: Vec<SocketAddr>,
    /// For metrics alone; empty where they are among the rest.
    pub(crate) metrics: Vec<SocketAddr>,
    /// Where nodes reach the blocks. Port 0: nobody said, and it is the one that is bound.
    pub(crate) backend: Backend,
    /// The hub that is mirrored, for the pages.
    pub(crate) upstream: Option<String>,
    /// For a hub that stands alone.
    pub(crate) publishing: Option<PublishingSettings>,
}

/// What is taken over the network, where anything is.
#[derive(Debug, Clone)]
pub(crate) struct PublishingSettings {
    /// Where nodes find the blocks, if somebody said so.
    pub(crate) backend: Option<Backend>,
    pub(crate) max_upload: u64,
    pub(crate) max_unpacked: u64,
    pub(crate) timeout: Duration,
    pub(crate) uploads: usize,
}

impl ServeSettings {
    /// Takes flags, variables, file and defaults together.
    ///
    /// # Errors
    /// A variable has a value that means nothing.
    pub(crate) fn resolve(
        settings: &Settings,
        serve: &ServeArgs,
        public: &PublicArgs,
    ) -> Result<Self, SettingsError> {
        let addresses = |(wanted, _): (Vec<Listen>, _)| sockets(&wanted);
        Ok(Self {
            http: addresses(settings.many(&key::HTTP, &serve.http)?),
            zdb: addresses(settings.many(&key::ZDB, &serve.zdb)?),
            metrics: metrics(settings, &serve.metrics)?,
            backend: match settings.maybe(&key::BACKEND, public.backend.clone())? {
                Some(backend) => backend,
                None => Backend {
                    namespace: "default".to_owned(),
                    host: host_name(),
                    port: 0,
                    password: None,
                },
            },
            upstream: settings
                .many(&key::UPSTREAM, &[])?
                .0
                .first()
                .map(|url| bcm_core::redact::url(url.as_str())),
            publishing: Some(PublishingSettings {
                backend: settings.maybe(&key::BACKEND, public.backend.clone())?,
                max_upload: settings.one(&key::MAX_UPLOAD, serve.max_upload)?,
                max_unpacked: settings.one(&key::MAX_UNPACKED, serve.max_unpacked)?,
                timeout: settings.one(&key::UPLOAD_TIMEOUT, serve.upload_timeout)?,
                uploads: settings.one(&key::UPLOADS, serve.uploads)?,
            }),
        })
    }
}

/// Where metrics are answered apart from the rest, if anywhere.
///
/// # Errors
/// A variable has a value that means nothing.
pub(crate) fn metrics(
    settings: &Settings,
    typed: &[Listen],
) -> Result<Vec<SocketAddr>, SettingsError> {
    Ok(sockets(&settings.many(&key::METRICS, typed)?.0))
}

/// What this machine calls itself.
fn host_name() -> String {
    let name = rustix::system::uname();
    match name.nodename().to_str() {
        Ok(name) if !name.is_empty() && name != "(none)" => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}
