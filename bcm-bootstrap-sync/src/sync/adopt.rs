//! Kernels that are here and not in the manifest, because it was lost or they were copied in.

use bcm_core::digest::Sha256;
use bcm_core::http::{Request, Response, Validators};
use futures_util::StreamExt;

use super::run::Work;
use crate::kernel::KernelName;
use crate::local;
use crate::manifest::Kernel;

impl Work<'_> {
    /// Notes those kernels whose size and time are what upstream says of them, hashed as they are
    /// now. The others are fetched as if they were not here.
    pub(super) async fn adopt(&mut self) {
        let this = &*self;
        let unknown = this.local.kernels.iter().filter_map(|(name, identity)| {
            let timestamp = *this.listed.get(name)?;
            let unknown = !this.manifest.kernels.contains_key(name);
            (unknown && identity.modified.seconds == timestamp).then_some((name, identity.size))
        });
        let adopted = futures_util::stream::iter(unknown).map(|(name, size)| async move {
            let kernel = this.adopt_one(name, size).await?;
            Some((name.clone(), kernel))
        });
        let adopted: Vec<(KernelName, Kernel)> = adopted
            .buffer_unordered(this.config.parallel.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        self.manifest.kernels.extend(adopted);
    }

    async fn adopt_one(&self, name: &KernelName, size: u64) -> Option<Kernel> {
        let timestamp = *self.listed.get(name)?;
        let url = self
            .upstreams
            .url(self.upstream, &["kernel", name.as_str()]);
        let answer = self.upstreams.client().send(Request::head(url)).await;
        let answer = answer.and_then(Response::success).ok()?;
        let modified = answer.last_modified()?;
        let same =
            answer.announced_length() == Some(size) && i64::try_from(modified) == Ok(timestamp);
        if !same {
            return None;
        }
        let path = self.layout.kernel(name);
        let hashed = tokio::task::spawn_blocking(move || {
            let (file, _) = local::open(&path)?;
            Sha256::of_reader(file)
        });
        Some(Kernel {
            size,
            sha256: hashed.await.ok()?.ok()?,
            timestamp,
            listed: true,
            source: self.upstreams.name(self.upstream),
            validators: Validators::of(&answer),
            checked: self.now,
        })
    }
}
