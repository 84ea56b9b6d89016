//! How often a mirror is synced.

use bcm_hub_sync::sync::FollowOptions;

use super::{Settings, SettingsError, key};
use crate::args::hub::FollowArgs;

/// The library's configuration from flags, variables, file and defaults.
///
/// # Errors
/// A variable has a value that means nothing.
pub(crate) fn resolve(
    settings: &Settings,
    args: &FollowArgs,
) -> Result<FollowOptions, SettingsError> {
    let mut options = FollowOptions::default();
    options.interval = settings.one(&key::INTERVAL, args.interval)?;
    options.jitter = settings.one(&key::JITTER, args.jitter)?;
    options.longest_retry = settings.one(&key::LONGEST_RETRY, args.longest_retry)?;
    options.listen = settings.one(&key::WAKE, args.wake)?;
    options.first_retry = options.first_retry.min(options.longest_retry);
    Ok(options)
}
