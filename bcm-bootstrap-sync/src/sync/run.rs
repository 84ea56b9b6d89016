//! The steps of a sync.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bcm_core::deletion::Grace;
use bcm_core::http::{Request, Url};
use bcm_core::lock::FolderLock;
use bcm_core::progress::{Level, Outcome, SharedProgress, Unit};
use bcm_core::refused::{MAX_NAMED, Refused};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::config::SyncConfig;
use super::download::{Downloader, Failed, Fetched, Got, Wanted};
use super::error::SyncError;
use super::links;
use super::plan::{self, Fetch, Gone, Kernels};
use super::staged;
use crate::kernel::KernelName;
use crate::layout::Layout;
use crate::local::{self, Local, LocalError};
use crate::manifest::{Kernel, Manifest};
use crate::report::{Counts, Reason, Replaced, SyncOutcome, SyncReport};
use crate::upstream::Upstreams;

/// Everything that a sync works on.
pub(super) struct Work<'a> {
    pub(super) layout: &'a Layout,
    pub(super) config: &'a SyncConfig,
    pub(super) upstreams: Upstreams,
    pub(super) upstream: usize,
    pub(super) manifest: Manifest,
    pub(super) local: Local,
    pub(super) listed: BTreeMap<KernelName, i64>,
    /// Upstream has these, but what it says of them is of no use.
    unusable: BTreeSet<KernelName>,
    pub(super) now: i64,
    pub(super) report: SyncReport,
}

/// Makes the mirror in `layout` equal to what is wanted of its upstream.
///
/// Cancel safety: dropping the future, as `cancel` does, loses nothing: the next sync goes on.
///
/// # Errors
/// The sync could not go on. A kernel or run mode that failed is no error but named in the report.
pub async fn sync(
    layout: &Layout,
    config: &SyncConfig,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<SyncReport, SyncError> {
    let run = run(layout, config, &progress);
    match cancel.run_until_cancelled(run).await {
        Some(result) => result,
        None => Err(SyncError::Cancelled),
    }
}

async fn run(
    layout: &Layout,
    config: &SyncConfig,
    progress: &SharedProgress,
) -> Result<SyncReport, SyncError> {
    let started = Instant::now();
    local::make_folders(layout)?;
    let _lock = FolderLock::acquire(&layout.lock())?;
    let mut work = Work::begin(layout, config).await?;
    work.adopt().await;
    let kernels = work.kernels();
    // The note of a kernel that was published and noted is of no use any more.
    staged::clean(layout, |base| {
        base.starts_with('.')
            || kernels
                .fetch
                .iter()
                .any(|fetch| fetch.name.as_str() == base)
    })?;
    work.report.counts.unchanged = kernels.unchanged.len() as u64;
    for name in &kernels.pinned {
        work.report.warnings.push(format!(
            "upstream has published {name} anew; the one that is here stays, for a run mode is pinned to it"
        ));
    }
    let task = progress.started("fetching kernels", Unit::Bytes, None);
    let fetched = work.fetch(&kernels.fetch, progress, task).await;
    let linked = match fetched {
        Ok(()) => links::follow(&mut work, progress, task).await,
        Err(error) => Err(error),
    };
    let outcome = match &linked {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(()) if work.report.refused_total > 0 => {
            Outcome::Partial(format!("{} refused", work.report.refused_total))
        }
        Ok(()) => Outcome::Done,
    };
    progress.finished(task, &outcome);
    linked?;
    links::name_dangling(&mut work);
    // Run modes may lead elsewhere by now.
    let wanted = work.wanted(&kernels.fetch, &kernels.unchanged);
    let waits = work.delete(&wanted)?;
    work.end(started, waits)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

impl<'a> Work<'a> {
    pub(super) async fn begin(
        layout: &'a Layout,
        config: &'a SyncConfig,
    ) -> Result<Self, SyncError> {
        if config.upstreams.is_empty() {
            return Err(SyncError::NoUpstream);
        }
        let urls: Vec<Url> = config.upstreams.clone();
        let upstreams = Upstreams::new(urls, config.http.clone(), config.retry.clone())
            .map_err(SyncError::Client)?;
        let loaded = Manifest::load(&layout.manifest())?;
        let local = local::scan(layout)?;
        let now = now();
        let catalogue = upstreams.list().await?;
        let upstream = catalogue.upstream;
        let mut report = SyncReport {
            outcome: SyncOutcome::Complete,
            upstream: upstreams.name(upstream),
            started: now,
            seconds: 0.0,
            nothing_to_do: false,
            counts: Counts::default(),
            new: Vec::new(),
            replaced: Vec::new(),
            deleted: Vec::new(),
            awaiting_deletion: Vec::new(),
            moved: Vec::new(),
            pinned: Vec::new(),
            refused: catalogue.index.refused,
            refused_total: catalogue.index.refused_total,
            warnings: Vec::new(),
            guard: None,
        };
        for failed in catalogue.failed {
            let warning = format!("{} failed: {}", failed.subject, failed.reason);
            report.warnings.push(warning);
        }
        let mut manifest = loaded.manifest;
        if let Some(damaged) = loaded.damaged {
            let path = layout.manifest().display().to_string();
            report
                .warnings
                .push(format!("{path} was damaged: {damaged}"));
            let told = links::hold(&mut manifest, &local, now);
            report.warnings.extend(told);
        }
        for name in &config.policy.pins {
            let known = manifest.kernels.contains_key(name);
            if !known && !catalogue.index.kernels.contains_key(name) {
                report.warnings.push(format!(
                    "{name} is to be kept, but is neither here nor in upstream's list"
                ));
            }
        }
        let mut work = Self {
            layout,
            config,
            upstreams,
            upstream,
            manifest,
            local,
            listed: BTreeMap::new(),
            unusable: catalogue.index.unusable,
            now,
            report,
        };
        let kernels = catalogue.index.kernels;
        let (timed, untimed): (Vec<_>, Vec<_>) = kernels
            .into_iter()
            .map(|(name, listed)| (name, listed.timestamp))
            .partition(|(_, timestamp)| timestamp.is_some());
        let timed = timed.into_iter().filter_map(|(name, t)| Some((name, t?)));
        work.listed = timed.collect();
        work.ask_times(untimed.into_iter().map(|(name, _)| name))
            .await;
        Ok(work)
    }

    /// Asks for the times of kernels whose list says none.
    async fn ask_times(&mut self, names: impl Iterator<Item = KernelName>) {
        let this = &*self;
        let heads = futures_util::stream::iter(names).map(|name| async move {
            let url = this
                .upstreams
                .url(this.upstream, &["kernel", name.as_str()]);
            let answer = this.upstreams.client().send(Request::head(url)).await;
            (name, answer.and_then(bcm_core::http::Response::success))
        });
        let parallel = self.config.parallel.max(1) * 2;
        let heads: Vec<_> = heads.buffer_unordered(parallel).collect().await;
        for (name, answer) in heads {
            match answer {
                Ok(answer) => {
                    let said = answer.last_modified().and_then(|t| i64::try_from(t).ok());
                    let known = self.manifest.kernels.get(&name).map(|k| k.timestamp);
                    let timestamp = said.or(known).unwrap_or(self.now);
                    self.listed.insert(name, timestamp);
                }
                Err(error) => {
                    self.refuse(name.as_str(), bcm_core::cause::chain(&error));
                    self.unusable.insert(name);
                }
            }
        }
    }

    pub(super) fn kernels(&self) -> Kernels {
        plan::kernels(
            &self.listed,
            &self.manifest,
            &self.local,
            &self.config.policy,
            self.config.recheck_after,
            self.now,
        )
    }

    /// What is to stay.
    pub(super) fn wanted(&self, fetch: &[Fetch], unchanged: &[KernelName]) -> BTreeSet<KernelName> {
        let names = fetch.iter().map(|fetch| &fetch.name).chain(unchanged);
        let mut wanted: BTreeSet<KernelName> = names.cloned().collect();
        wanted.extend(plan::linked(&self.manifest, &self.local));
        wanted.extend(self.config.policy.pins.iter().cloned());
        wanted.extend(self.unusable.iter().cloned());
        wanted
    }

    pub(super) fn gone(&self, wanted: &BTreeSet<KernelName>) -> Gone {
        let listed = self.listed.keys().chain(&self.unusable).cloned().collect();
        let grace = Grace {
            delete_after: self.config.delete_after,
            now: self.now,
        };
        plan::gone(
            &self.manifest,
            &listed,
            wanted,
            grace,
            self.config.max_delete,
        )
    }

    pub(super) fn refuse(&mut self, subject: &str, reason: String) {
        self.report.refused_total += 1;
        if self.report.refused.len() < MAX_NAMED {
            self.report.refused.push(Refused {
                subject: subject.to_owned(),
                reason,
            });
        }
    }

    pub(super) fn save(&self) -> Result<(), SyncError> {
        Ok(self.manifest.save(&self.layout.manifest())?)
    }

    /// Fetches kernels, several at once, and publishes each when it is whole.
    async fn fetch(
        &mut self,
        fetch: &[Fetch],
        progress: &SharedProgress,
        task: bcm_core::progress::TaskId,
    ) -> Result<(), SyncError> {
        let upstreams = self.upstreams.clone();
        let (layout, first, most) = (self.layout, self.upstream, self.config.max_size);
        let known: Vec<_> = fetch
            .iter()
            .map(|fetch| {
                let kernel = self.manifest.kernels.get(&fetch.name);
                let usable = matches!(fetch.reason, Reason::Republished | Reason::Recheck);
                kernel
                    .filter(|_| usable)
                    .map(|kernel| (kernel.source.clone(), kernel.validators.clone()))
            })
            .collect();
        let downloader = Downloader {
            layout,
            upstreams: &upstreams,
            progress: &**progress,
            task,
        };
        let downloader = &downloader;
        let mut results = futures_util::stream::iter(fetch.iter().zip(&known))
            .map(|(fetch, known)| async move {
                let name = fetch.name.as_str();
                let wanted = Wanted {
                    segments: &["kernel", name],
                    staged: name,
                    place: Some(layout.kernel(&fetch.name)),
                    known: known
                        .as_ref()
                        .filter(|(_, validators)| !validators.is_empty())
                        .map(|(source, validators)| (source.as_str(), validators)),
                    most,
                };
                (fetch, downloader.get(first, &wanted, &|_| false).await)
            })
            .buffer_unordered(self.config.parallel.max(1));
        while let Some((fetch, result)) = results.next().await {
            let name = fetch.name.as_str();
            match result {
                Ok(Got::File(fetched)) => {
                    self.publish(&fetch.name, fetch.timestamp, fetched, true)?;
                    downloader.done(name)?;
                }
                Ok(Got::Unchanged | Got::Recognised { .. }) => {
                    self.still(&fetch.name, fetch.timestamp)?;
                }
                Ok(Got::Missing) => {
                    self.refuse(name, "it is listed, but there is no such file".to_owned());
                }
                Err(Failed::Entry(reason)) => {
                    progress.note(Level::Warning, &format!("{name}: {reason}"));
                    self.refuse(name, reason);
                }
                Err(Failed::All(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Upstream has the version that is here, perhaps with another time.
    fn still(&mut self, name: &KernelName, timestamp: i64) -> Result<(), SyncError> {
        self.report.counts.unchanged += 1;
        if let Some(kernel) = self.manifest.kernels.get_mut(name) {
            kernel.checked = self.now;
            if kernel.timestamp != timestamp {
                local::set_time(&self.layout.kernel(name), timestamp)?;
                kernel.timestamp = timestamp;
            }
        }
        self.save()
    }

    /// Gives a fetched kernel its place, and notes what it is.
    pub(super) fn publish(
        &mut self,
        name: &KernelName,
        timestamp: i64,
        fetched: Fetched,
        listed: bool,
    ) -> Result<(), SyncError> {
        let path = self.layout.kernel(name);
        match &fetched.path {
            Some(staged) => local::publish(staged, &path, timestamp)?,
            None => local::set_time(&path, timestamp)?,
        }
        let looked = local::open(&path).map_err(|e| LocalError::new("open", &path, e))?;
        self.local.kernels.insert(name.clone(), looked.1);
        let kernel = Kernel {
            size: fetched.size,
            sha256: fetched.sha256,
            timestamp,
            listed,
            source: fetched.source,
            validators: fetched.validators,
            checked: self.now,
        };
        let before = self.manifest.kernels.insert(name.clone(), kernel);
        self.save()?;
        let counts = &mut self.report.counts;
        counts.bytes += fetched.bytes;
        counts.resumed_bytes += fetched.resumed;
        match before {
            None => {
                counts.new += 1;
                self.report.new.push(name.clone());
            }
            Some(before) if before.sha256 != fetched.sha256 => {
                counts.changed += 1;
                self.report.replaced.push(Replaced {
                    name: name.clone(),
                    from: before.sha256.to_string(),
                    to: fetched.sha256.to_string(),
                });
            }
            Some(_) => counts.unchanged += 1,
        }
        Ok(())
    }

    /// Deletes what has waited long enough. Whether other kernels wait than before.
    fn delete(&mut self, wanted: &BTreeSet<KernelName>) -> Result<bool, SyncError> {
        let gone = self.gone(wanted);
        let waits = !gone.tombstones.keys().eq(self.manifest.tombstones.keys());
        for name in &gone.deletions {
            local::remove(&self.layout.kernel(name))?;
            self.manifest.kernels.remove(name);
        }
        self.report.counts.deleted = gone.deletions.len() as u64;
        self.report.counts.awaiting_deletion = gone.tombstones.len() as u64;
        self.report.awaiting_deletion = gone.tombstones.keys().cloned().collect();
        self.report.deleted = gone.deletions;
        self.report.guard = gone.guard;
        self.manifest.tombstones = gone.tombstones;
        Ok(waits)
    }

    fn end(mut self, started: Instant, waits: bool) -> Result<SyncReport, SyncError> {
        let report = &mut self.report;
        report.seconds = started.elapsed().as_secs_f64();
        // Not in the order in which downloads happened to end.
        report.new.sort();
        report.replaced.sort_by(|a, b| a.name.cmp(&b.name));
        if report.refused_total > 0 || report.guard.is_some() {
            report.outcome = SyncOutcome::Partial;
        }
        report.nothing_to_do = report.new.is_empty()
            && report.replaced.is_empty()
            && report.deleted.is_empty()
            && report.moved.is_empty()
            && !waits
            && report.counts.bytes == 0;
        self.manifest.upstream = Some(report.upstream.clone());
        self.manifest.last_attempt = Some(report.started);
        if report.outcome == SyncOutcome::Complete {
            self.manifest.last_success = Some(report.started);
        }
        self.manifest.last_report = Some(report.summary());
        self.save()?;
        Ok(self.report)
    }
}
