//! Where blocks are kept.

use std::sync::Arc;
use std::time::Duration;

use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::routed::{KeyRange, Route, RoutedStore};
use bcm_hub_sync::store::zdb::{ZdbStore, ZdbStoreOptions};
use bcm_hub_sync::store::{BlockStore, StoreError};

use super::{Settings, SettingsError, key};
use crate::diagnostics::Failure;

/// Where blocks are kept: in the data folder when there are no routes.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    routes: Vec<Route>,
}

impl StoreSettings {
    /// Takes flags, variables and file together.
    ///
    /// # Errors
    /// A variable has a value that means nothing, or the routes leave keys out.
    pub(crate) fn resolve(settings: &Settings, flags: &[Route]) -> Result<Self, SettingsError> {
        let routes = settings.many(&key::STORE, flags)?.0;
        if !routes.is_empty() {
            RoutedStore::check(&routes).map_err(|error| {
                SettingsError::Together(format!(
                    "{error}; together, routes keep all keys from 00 to ff: --store 00-7f=zdb://A \
                     --store 80-ff=zdb://B"
                ))
            })?;
        }
        Ok(Self { routes })
    }

    /// Opens the store.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(
        &self,
        layout: &Layout,
        access: Access,
    ) -> Result<Arc<dyn BlockStore>, StoreError> {
        let mut options = ZdbStoreOptions {
            access,
            ..ZdbStoreOptions::default()
        };
        Ok(match &self.routes[..] {
            [] => Arc::new(EmbeddedStore::open(layout.blocks(), access)?),
            [route] if route.range == KeyRange::ALL => {
                Arc::new(ZdbStore::new(route.address.clone(), options)?)
            }
            routes => {
                // A replica is asked instead; a long wait for the first one helps nobody.
                options.client.connect = Duration::from_secs(5);
                options.retry = RetryPolicy {
                    attempts: 2,
                    ..options.retry
                };
                Arc::new(RoutedStore::new(routes.to_vec(), &options)?)
            }
        })
    }
}

/// Opens the store that `flags`, variables and file name.
///
/// # Errors
/// As [`StoreSettings::resolve`] and [`StoreSettings::open`].
pub(crate) fn open(
    settings: &Settings,
    flags: &[Route],
    layout: &Layout,
    access: Access,
) -> Result<Arc<dyn BlockStore>, Failure> {
    let settings = StoreSettings::resolve(settings, flags)?;
    settings.open(layout, access).map_err(Failure::new)
}
