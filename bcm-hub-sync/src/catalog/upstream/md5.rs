//! What a hub says the MD5 of an flist is.

use bcm_core::digest::Md5;

use super::{UpstreamError, Upstreams};
use crate::catalog::FlistRef;

impl Upstreams {
    /// The MD5 of an flist as [`Upstreams::md5_once`], trying again where that may help.
    ///
    /// # Errors
    /// The last try failed.
    pub async fn md5_of(
        &self,
        hub: usize,
        place: &FlistRef,
        now: i64,
    ) -> Result<Md5, UpstreamError> {
        let mut failures = 0;
        loop {
            let error = match self.md5_once(hub, place, now).await {
                Ok(md5) => return Ok(md5),
                Err(error) => error,
            };
            failures += 1;
            match self.retry().delay_after(failures) {
                Some(delay) if error.is_transient() => tokio::time::sleep(delay).await,
                _ => return Err(error),
            }
        }
    }

    /// The MD5 of an flist by `NAME.md5`, or, from hubs that do not have that, by `NAME/light`.
    /// `now` is this machine's time in seconds since 1970.
    ///
    /// # Errors
    /// Neither tells it.
    pub async fn md5_once(
        &self,
        hub: usize,
        place: &FlistRef,
        now: i64,
    ) -> Result<Md5, UpstreamError> {
        let error = match self.md5(hub, place).await {
            Ok(md5) => return Ok(md5),
            Err(error) if error.is_transient() || error.is_outage() => return Err(error),
            Err(error) => error,
        };
        match self.light(hub, place, now).await {
            Ok(light) => light.md5.ok_or(error),
            Err(_) => Err(error),
        }
    }
}
