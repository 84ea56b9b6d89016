//! What `bcm hub sync` works with.

use bcm_core::limiter::Limiter;
use bcm_hub_sync::catalog::pins::Pins;
use bcm_hub_sync::catalog::selection::{self, Selection};
use bcm_hub_sync::sync::{BlockMode, FlistMode, SyncConfig};

use super::{Settings, SettingsError, key};
use crate::args::choices::{Blocks, Flists, Profile};
use crate::args::hub::{PublicArgs, SyncArgs};

/// The library's configuration from flags, variables, file and defaults.
///
/// # Errors
/// A variable has a value that means nothing, or two settings do not go together.
pub(crate) fn resolve(
    settings: &Settings,
    args: &SyncArgs,
    public: &PublicArgs,
) -> Result<SyncConfig, SettingsError> {
    let mut config = SyncConfig::new(settings.many(&key::UPSTREAM, &args.upstream)?.0);
    config.upstream_zdb = settings.many(&key::UPSTREAM_ZDB, &args.upstream_zdb)?.0;
    let repositories = settings.many(&key::REPO, &args.repo)?.0;
    let names = settings.many(&key::NAME, &args.name)?.0;
    let profile = settings
        .maybe(&key::PROFILE, args.profile)?
        .map(|profile| match profile {
            Profile::Zos => selection::Profile::Zos,
        });
    config.selection = Selection::new(&repositories, &names, profile)
        .map_err(|error| SettingsError::Together(error.to_string()))?;
    config.pins = Pins::new(&settings.many(&key::PIN, &args.pin)?.0)
        .map_err(|error| SettingsError::Together(error.to_string()))?;
    config.snapshots = settings.one(&key::SNAPSHOTS, args.snapshots)?;
    config.grace = settings.one(&key::GRACE, None)?;
    config.delete_after = settings.one(&key::DELETE_AFTER, args.delete_after)?.0;
    config.max_delete = settings.one(&key::MAX_DELETE, args.max_delete)?;
    config.blocks = match settings.one(&key::BLOCKS, args.blocks)? {
        Blocks::Closure => BlockMode::Closure,
        Blocks::All => BlockMode::All,
        Blocks::None => BlockMode::None,
    };
    let backend = settings.maybe(&key::BACKEND, public.backend.clone())?;
    config.flists = match (settings.one(&key::FLISTS, args.flists)?, backend) {
        (Flists::Verbatim, _) => FlistMode::Verbatim,
        (Flists::Rewritten, Some(backend)) => FlistMode::Rewritten(backend),
        (Flists::Rewritten, None) => {
            return Err(SettingsError::Together(
                "rewritten flists need this mirror's public 0-db address: \
                 --backend HOST[:PORT][/NAMESPACE]"
                    .to_owned(),
            ));
        }
    };
    config.recheck_blocks = args.recheck_blocks;
    let rate = settings.maybe(&key::MAX_RATE, args.max_rate)?;
    let requests = settings.maybe(&key::MAX_REQUESTS, args.max_requests)?;
    let limiter = Limiter::new(rate, requests.map(|count| count as u64));
    config.http.limiter = limiter.clone();
    // The bytes are shared; each protocol counts its own requests.
    config.fetch.limiter = limiter.with_requests(requests.map(|count| count as u64));
    config.parallel = settings.one(&key::PARALLEL, args.parallel)?;
    config.fetch.connections = settings.one(&key::CONNECTIONS, args.connections)?;
    let attempts = settings.one(&key::ATTEMPTS, args.attempts)?;
    config.retry.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    config.fetch.retry.attempts = config.retry.attempts;
    let connect = settings.one(&key::CONNECT_TIMEOUT, args.connect_timeout)?;
    config.http.connect = connect;
    config.fetch.client.connect = connect;
    let silence = settings.one(&key::TIMEOUT, args.timeout)?;
    config.http.first_byte = silence;
    config.http.idle = silence;
    config.fetch.client.idle = silence;
    Ok(config)
}
