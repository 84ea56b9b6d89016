//! How much room a mirror will need, before there is one.

use std::collections::BTreeMap;

use bcm_core::http::{HttpError, Request, Response};
use futures_util::StreamExt;
use serde::Serialize;

use super::config::SyncConfig;
use super::error::SyncError;
use super::run::now;
use crate::kernel::KernelName;
use crate::upstream::Upstreams;

/// So many kernels are asked for their size; the others are taken to be as large as these on average.
const SAMPLE: usize = 32;

/// About how much a mirror will hold after its first sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The upstream that the list came from.
    pub upstream: String,
    /// How many kernels the policy chooses. One that only a run mode leads to is not among them.
    pub kernels: u64,
    /// Their bytes; `None` where upstream tells no kernel's size.
    pub bytes: Option<u64>,
}

/// Bytes of `kernels` kernels, of which some have these `sizes`. `None` where nothing is known of them.
#[must_use]
pub fn kernel_bytes(kernels: u64, sizes: &[u64]) -> Option<u64> {
    let known: u128 = sizes.iter().map(|size| u128::from(*size)).sum();
    let bytes = match kernels {
        0 => 0,
        _ => (known * u128::from(kernels)).checked_div(sizes.len() as u128)?,
    };
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Asks the first upstream that answers for its list, and for the sizes of some of the kernels on it, for
/// lists have none; and says how much a new mirror by `config` will about hold. Nothing is fetched or written.
///
/// It takes as long as the time-outs of `config` let it. Dropping the future does no harm.
///
/// # Errors
/// No upstream could be listed.
pub async fn estimate(config: &SyncConfig) -> Result<Estimate, SyncError> {
    if config.upstreams.is_empty() {
        return Err(SyncError::NoUpstream);
    }
    let upstreams = Upstreams::new(
        config.upstreams.clone(),
        config.http.clone(),
        config.retry.clone(),
    )
    .map_err(SyncError::Client)?;
    let catalogue = upstreams.list().await?;
    let mut asking = Asking {
        upstreams: &upstreams,
        upstream: catalogue.upstream,
        config,
        sizes: BTreeMap::new(),
    };
    let now = now();
    let (mut times, mut untimed) = (BTreeMap::new(), Vec::new());
    for (name, listed) in catalogue.index.kernels {
        match listed.timestamp {
            Some(time) => drop(times.insert(name, time)),
            None => untimed.push(name),
        }
    }
    for (name, time) in asking.ask(untimed).await {
        times.insert(name, time.unwrap_or(now));
    }
    let listed = times.iter().map(|(name, time)| (name, *time));
    let chosen = config.policy.choose(listed, now);
    // Not the first or the newest ones, for sizes differ by kind and grow with time.
    let step = chosen.len().div_ceil(SAMPLE).max(1);
    let unknown = chosen
        .iter()
        .filter(|name| !asking.sizes.contains_key(name));
    let sample = unknown.step_by(step).cloned().collect();
    asking.ask(sample).await;
    let sizes = chosen.iter().filter_map(|name| asking.sizes.get(name));
    let sizes: Vec<u64> = sizes.copied().collect();
    let kernels = chosen.len() as u64;
    Ok(Estimate {
        upstream: upstreams.name(catalogue.upstream),
        kernels,
        bytes: kernel_bytes(kernels, &sizes),
    })
}

struct Asking<'a> {
    upstreams: &'a Upstreams,
    upstream: usize,
    config: &'a SyncConfig,
    /// Sizes that were told, in bytes.
    sizes: BTreeMap<KernelName, u64>,
}

impl Asking<'_> {
    /// Notes the sizes of `names`, and says the times of those that there are.
    async fn ask(&mut self, names: Vec<KernelName>) -> Vec<(KernelName, Option<i64>)> {
        let (upstreams, upstream) = (self.upstreams, self.upstream);
        let heads = names.into_iter().map(|name| async move {
            let head = head(upstreams, upstream, &name).await;
            (name, head)
        });
        let parallel = self.config.parallel.max(1) * 2;
        let heads = futures_util::stream::iter(heads).buffer_unordered(parallel);
        let heads: Vec<_> = heads.collect().await;
        let mut times = Vec::new();
        for (name, head) in heads {
            let Ok(head) = head else {
                continue;
            };
            let size = head.announced_length();
            // A larger one is refused by a sync.
            if let Some(size) = size.filter(|size| *size <= self.config.max_size) {
                self.sizes.insert(name.clone(), size);
            }
            let time = head.last_modified();
            times.push((name, time.and_then(|time| i64::try_from(time).ok())));
        }
        times
    }
}

async fn head(
    upstreams: &Upstreams,
    upstream: usize,
    name: &KernelName,
) -> Result<Response, HttpError> {
    let url = upstreams.url(upstream, &["kernel", name.as_str()]);
    upstreams
        .client()
        .send(Request::head(url))
        .await
        .and_then(Response::success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unasked_kernels_are_as_large_as_the_others_are_on_average() {
        assert_eq!(kernel_bytes(2, &[10, 30]), Some(40));
        assert_eq!(kernel_bytes(4, &[10, 30]), Some(80));
        assert_eq!(kernel_bytes(0, &[]), Some(0));
        assert_eq!(kernel_bytes(4, &[]), None);
        assert_eq!(kernel_bytes(u64::MAX, &[u64::MAX]), Some(u64::MAX));
    }
}
