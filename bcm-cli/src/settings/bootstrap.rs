//! What `bcm bootstrap` works with.

use std::net::SocketAddr;
use std::time::Duration;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::run_mode::{RunMode, RunModes};
use bcm_bootstrap_sync::serve::ServeOptions;
use bcm_bootstrap_sync::sync::{FollowOptions, SyncConfig};
use bcm_core::patterns::Patterns;

use super::listen::sockets;
use super::{Origin, Settings, SettingsError, key};
use crate::args::bootstrap::ServeCommand;
use crate::args::bootstrap::sync::SyncArgs;
use crate::diagnostics::Failure;

/// The configuration of a sync from flags, variables, file and defaults.
///
/// # Errors
/// A variable has a value that means nothing, or two settings do not go together.
pub(crate) fn sync(settings: &Settings, args: &SyncArgs) -> Result<SyncConfig, SettingsError> {
    let together = |error: &dyn std::fmt::Display| SettingsError::Together(error.to_string());
    let mut config = SyncConfig::new(settings.many(&key::BOOTSTRAP_UPSTREAM, &args.upstream)?.0);
    config.policy.since = settings.one(&key::BOOTSTRAP_SINCE, args.since)?.0;
    config.policy.newest = settings.maybe(&key::BOOTSTRAP_NEWEST, args.newest)?;
    let names = settings.many(&key::BOOTSTRAP_NAME, &args.name)?.0;
    config.policy.names =
        Patterns::new(names.iter().map(String::as_str)).map_err(|error| together(&error))?;
    config.policy.pins = settings
        .many(&key::BOOTSTRAP_PIN, &args.keep)?
        .0
        .into_iter()
        .collect();
    config.modes = modes(settings, &args.run_mode)?
        .iter()
        .map(|(mode, _)| mode.clone())
        .collect();
    config.delete_after = settings
        .one(&key::BOOTSTRAP_DELETE_AFTER, args.delete_after)?
        .0;
    config.max_delete = settings.one(&key::BOOTSTRAP_MAX_DELETE, args.max_delete)?;
    config.parallel = settings.one(&key::BOOTSTRAP_PARALLEL, args.parallel)?;
    let attempts = settings.one(&key::BOOTSTRAP_ATTEMPTS, args.attempts)?;
    config.retry.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    config.http.connect = settings.one(&key::BOOTSTRAP_CONNECT_TIMEOUT, args.connect_timeout)?;
    let silence = settings.one(&key::BOOTSTRAP_TIMEOUT, args.timeout)?;
    config.http.first_byte = silence;
    config.http.idle = silence;
    Ok(config)
}

/// Whether somebody said which Bootstrap is mirrored.
pub(crate) fn is_named(settings: &Settings) -> bool {
    settings.texts(&key::BOOTSTRAP_UPSTREAM).1 != Origin::Default
}

/// How often it is synced.
///
/// # Errors
/// A variable has a value that means nothing.
pub(crate) fn follow(
    settings: &Settings,
    interval: Option<Duration>,
) -> Result<FollowOptions, SettingsError> {
    Ok(FollowOptions {
        interval: settings.one(&key::BOOTSTRAP_INTERVAL, interval)?,
        ..FollowOptions::default()
    })
}

/// The run modes that there are.
///
/// # Errors
/// A variable has a value that means nothing, or one is there twice.
pub(crate) fn modes(
    settings: &Settings,
    flags: &[(RunMode, String)],
) -> Result<RunModes, SettingsError> {
    let modes = settings.many(&key::BOOTSTRAP_MODE, flags)?.0;
    RunModes::new(modes).map_err(|error| SettingsError::Together(error.to_string()))
}

/// The title of the run mode `mode`.
///
/// # Errors
/// There is no such run mode; or as [`modes`].
pub(crate) fn title(settings: &Settings, mode: &RunMode) -> Result<String, Failure> {
    let modes = modes(settings, &[])?;
    let title = modes.title(mode).map(str::to_owned);
    title.ok_or_else(|| {
        let names: Vec<&str> = modes.iter().map(|(mode, _)| mode.as_str()).collect();
        let text = format!(
            "there is no run mode {mode}; there are {}",
            names.join(", ")
        );
        Failure::usage(text).with_hint("`bootstrap.run-mode` in bcm.toml names others")
    })
}

/// How it is served from the data folder of `layout`.
///
/// # Errors
/// A variable has a value that means nothing, or two settings do not go together.
pub(crate) fn serve(
    settings: &Settings,
    layout: Layout,
    args: &ServeCommand,
) -> Result<ServeOptions, SettingsError> {
    let listen: Vec<SocketAddr> = sockets(&settings.many(&key::BOOTSTRAP_HTTP, &args.http)?.0);
    let mut options = ServeOptions::new(layout, listen);
    options.metrics_apart = !super::serve::metrics(settings, &args.metrics)?.is_empty();
    options.modes = modes(settings, &args.run_mode)?;
    options.boot_url = settings.maybe(&key::BOOTSTRAP_BOOT_URL, args.boot_url.clone())?;
    options.ipxe = settings.many(&key::IPXE_DIR, &args.ipxe_dir)?.0;
    for (mac, provision) in settings.many(&key::BOOTSTRAP_PROVISION, &args.provision)?.0 {
        if options.provision.insert(mac, provision).is_some() {
            let text = format!(
                "`{}`: {mac} is there twice",
                key::BOOTSTRAP_PROVISION.meta.name
            );
            return Err(SettingsError::Together(text));
        }
    }
    Ok(options)
}
