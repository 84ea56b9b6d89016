//! Follows upstream's run modes: each link is recognised, by its content, as one of the kernels.

use bcm_core::digest::Sha256;
use bcm_core::http::{Request, Response, Validators, header};
use bcm_core::progress::{SharedProgress, TaskId};
use futures_util::StreamExt;

use super::download::{Downloader, Failed, Fetched, Got, Head, Wanted};
use super::dry_run::LinkPlan;
use super::error::SyncError;
use super::run::Work;
use crate::kernel::{KernelName, LINKS};
use crate::local::{self, Local, LocalLink};
use crate::manifest::{Link, Manifest, UpstreamLink};
use crate::report::{Moved, Pinned};
use crate::run_mode::RunMode;

/// How many kernels are looked at to find the name of a content.
const MAX_CANDIDATES: usize = 50;

/// The kernel that an answer's head proves itself to be about: its entity tag is the content's SHA-256,
/// as this program's own server makes it. Tags that are made of time, size or path prove nothing: two
/// kernels may share them.
fn recognise(work: &Work<'_>, mode: &RunMode, head: &Head) -> Option<KernelName> {
    let tag = head.validators.strong_etag()?;
    let name = by_content(work, mode, &tag.trim_matches('"').parse().ok()?)?;
    let size = work.manifest.kernels[&name].size;
    head.size.is_none_or(|said| said == size).then_some(name)
}

/// What is known of upstream's link, if the kernel that it was recognised as is still here.
fn known<'a>(work: &'a Work<'_>, mode: &RunMode) -> Option<&'a UpstreamLink> {
    let upstream = work.manifest.links.get(mode)?.upstream.as_ref()?;
    let kernel = work.manifest.kernels.get(&upstream.kernel)?;
    let whole = kernel.sha256 == upstream.sha256
        && work.local.kernels.contains_key(&upstream.kernel)
        && !upstream.validators.is_empty();
    whole.then_some(upstream)
}

/// Whether run modes have moved, without fetching anything.
pub(super) async fn look(work: &Work<'_>) -> Vec<LinkPlan> {
    let modes = futures_util::stream::iter(&work.config.modes);
    let looked = modes.map(|mode| async move {
        let link = work.manifest.links.get(mode);
        let known = known(work, mode);
        let url = work
            .upstreams
            .url(work.upstream, &["kernel", LINKS, &mode.link()]);
        let mut request = Request::head(url);
        if let Some(known) = known {
            request = known.validators.unless_unchanged(request);
        }
        let answer = work.upstreams.client().send(request).await;
        let moved = match answer.map(|answer| (answer.status(), Validators::of(&answer))) {
            Ok((status, said)) if status.is_success() => {
                known.is_none_or(|known| known.validators != said)
            }
            Ok(_) | Err(_) => false,
        };
        LinkPlan {
            mode: mode.clone(),
            now: link.map(|link| link.kernel.clone()),
            moved,
            pinned: link.is_some_and(|link| link.pinned),
        }
    });
    looked.buffered(work.config.parallel.max(1)).collect().await
}

/// Follows all run modes. One that fails stays as it is and is named.
pub(super) async fn follow(
    work: &mut Work<'_>,
    progress: &SharedProgress,
    task: TaskId,
) -> Result<(), SyncError> {
    let (layout, upstreams) = (work.layout, work.upstreams.clone());
    let downloader = Downloader {
        layout,
        upstreams: &upstreams,
        progress: &**progress,
        task,
    };
    let modes: Vec<RunMode> = work.config.modes.clone();
    let results: Vec<_> = {
        let (work, downloader) = (&*work, &downloader);
        let looked = futures_util::stream::iter(&modes).map(|mode| async move {
            let (link, staged) = (mode.link(), staged(mode));
            let known = known(work, mode);
            let wanted = Wanted {
                segments: &["kernel", LINKS, &link],
                staged: &staged,
                place: None,
                known: known.map(|known| (known.source.as_str(), &known.validators)),
                most: work.config.max_size,
            };
            let recognised = |head: &Head| recognise(work, mode, head).is_some();
            downloader.get(work.upstream, &wanted, &recognised).await
        });
        looked.buffered(work.config.parallel.max(1)).collect().await
    };
    for (mode, result) in modes.iter().zip(results) {
        match result {
            Ok(got) => {
                let upstream = recognised(work, mode, got).await?;
                turn(work, mode, upstream)?;
                downloader.done(&staged(mode))?;
            }
            Err(Failed::Entry(reason)) => {
                work.refuse(&format!("{LINKS}/{}", mode.link()), reason);
                turn(work, mode, None)?;
            }
            Err(Failed::All(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Notes the links that are here as pinned, where it was forgotten which of them were. Answers with what
/// to tell of it.
pub(super) fn hold(manifest: &mut Manifest, local: &Local, now: i64) -> Vec<String> {
    let mut told = Vec::new();
    for (mode, link) in &local.links {
        let LocalLink::Kernel(kernel) = link else {
            continue;
        };
        told.push(format!(
            "run mode {mode} stays at {kernel}, for it may have been pinned: `bcm bootstrap link {mode} \
             --follow` lets it follow upstream"
        ));
        let link = Link {
            kernel: kernel.clone(),
            pinned: true,
            turned: now,
            upstream: None,
        };
        manifest.links.insert(mode.clone(), link);
    }
    told
}

/// Names the run modes that machines cannot boot, because what they lead to is not here.
pub(super) fn name_dangling(work: &mut Work<'_>) {
    let here = &work.local.kernels;
    let dangling: Vec<(RunMode, Link)> = work
        .manifest
        .links
        .iter()
        .filter(|(_, link)| !here.contains_key(&link.kernel))
        .map(|(mode, link)| (mode.clone(), link.clone()))
        .collect();
    for (mode, link) in dangling {
        let pinned = if link.pinned { "is pinned" } else { "leads" };
        let reason = format!(
            "it {pinned} to {}, which is not here, nor to be had upstream: `bcm bootstrap link {mode} \
             KERNEL` turns it to another, `--follow` to upstream's",
            link.kernel
        );
        work.refuse(&format!("{LINKS}/{}", mode.link()), reason);
    }
}

/// No kernel's name begins with a dot.
fn staged(mode: &RunMode) -> String {
    format!(".{LINKS}-{mode}")
}

/// Finds the kernel of what upstream has, and publishes it where it is not here. `None` where
/// upstream says nothing new.
async fn recognised(
    work: &mut Work<'_>,
    mode: &RunMode,
    got: Got,
) -> Result<Option<UpstreamLink>, SyncError> {
    match got {
        Got::Unchanged => Ok(named_meanwhile(work, mode)),
        Got::Missing => {
            let warning = match work.manifest.links.contains_key(mode) {
                true => format!("upstream has no run mode {mode} any more; it stays here as it is"),
                false => format!("upstream has no run mode {mode}"),
            };
            work.report.warnings.push(warning);
            Ok(None)
        }
        Got::Recognised { source, head } => {
            let found = recognise(work, mode, &head);
            Ok(found.map(|kernel| UpstreamLink {
                sha256: work.manifest.kernels[&kernel].sha256,
                kernel,
                source,
                validators: head.validators,
            }))
        }
        Got::File(fetched) => {
            let (sha256, source) = (fetched.sha256, fetched.source.clone());
            let validators = fetched.validators.clone();
            let kernel = match by_content(work, mode, &sha256) {
                Some(name) => {
                    work.report.counts.bytes += fetched.bytes;
                    work.report.counts.resumed_bytes += fetched.resumed;
                    name
                }
                None => {
                    let (name, timestamp, listed) = name_for(work, mode, &fetched).await;
                    work.publish(&name, timestamp, fetched, listed)?;
                    name
                }
            };
            Ok(Some(UpstreamLink {
                kernel,
                sha256,
                source,
                validators,
            }))
        }
    }
}

/// What upstream had said already, where it lists a kernel with that content by now and did not then.
fn named_meanwhile(work: &Work<'_>, mode: &RunMode) -> Option<UpstreamLink> {
    let upstream = work.manifest.links.get(mode)?.upstream.as_ref()?;
    let listed = |name: &KernelName| work.manifest.kernels.get(name).is_some_and(|k| k.listed);
    if listed(&upstream.kernel) {
        return None;
    }
    let mut same = work.manifest.with_content(&upstream.sha256);
    let kernel = same.find(|name| listed(name))?.clone();
    Some(UpstreamLink {
        kernel,
        ..upstream.clone()
    })
}

/// The kernel that is here and has this content: the one the mode leads to already, else one that
/// upstream lists, the newest.
fn by_content(work: &Work<'_>, mode: &RunMode, sha256: &Sha256) -> Option<KernelName> {
    let now = work.manifest.links.get(mode).map(|link| &link.kernel);
    let same = work.manifest.with_content(sha256);
    let here = same.filter(|name| work.local.kernels.contains_key(*name));
    let best = here.max_by_key(|name| {
        let kernel = &work.manifest.kernels[*name];
        (kernel.listed, Some(*name) == now, kernel.timestamp)
    });
    best.cloned()
}

/// The name of a content that no kernel here has: that of a kernel which upstream lists and whose
/// size and date are the same, where there is exactly one, else one of our own.
async fn name_for(work: &Work<'_>, mode: &RunMode, fetched: &Fetched) -> (KernelName, i64, bool) {
    let date = fetched.validators.last_modified.as_deref();
    let seconds = date.and_then(http_seconds);
    let mut candidates: Vec<_> = work
        .listed
        .iter()
        .filter(|(name, _)| !work.manifest.kernels.contains_key(*name))
        .collect();
    // Those whose listed time is the link's date first, then the newest.
    candidates.sort_by_key(|(_, time)| (Some(**time) != seconds, std::cmp::Reverse(**time)));
    candidates.truncate(MAX_CANDIDATES);
    let heads = futures_util::stream::iter(candidates).map(|(name, time)| async move {
        let url = work
            .upstreams
            .url(work.upstream, &["kernel", name.as_str()]);
        let answer = work.upstreams.client().send(Request::head(url)).await;
        let answer = answer.and_then(Response::success).ok()?;
        let same = answer.announced_length() == Some(fetched.size)
            && date.is_some()
            && answer.header(header::LAST_MODIFIED) == date;
        same.then(|| (name.clone(), *time))
    });
    let heads = heads.buffer_unordered(work.config.parallel.max(1));
    let found: Vec<_> = heads.filter_map(std::future::ready).collect().await;
    match &found[..] {
        [(name, time)] => (name.clone(), *time, true),
        _ => (
            KernelName::unlisted(mode, &fetched.sha256),
            seconds.unwrap_or(work.now),
            false,
        ),
    }
}

fn http_seconds(date: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(date).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Notes what upstream says, and turns the link here unless it is pinned or was turned by hand since
/// upstream last moved.
fn turn(
    work: &mut Work<'_>,
    mode: &RunMode,
    upstream: Option<UpstreamLink>,
) -> Result<(), SyncError> {
    let before = work.manifest.links.get(mode).cloned();
    let mut link = match (before.clone(), &upstream) {
        (Some(link), _) => link,
        (None, Some(upstream)) => Link {
            kernel: upstream.kernel.clone(),
            pinned: false,
            turned: work.now,
            upstream: None,
        },
        (None, None) => return Ok(()),
    };
    if let Some(upstream) = upstream {
        let moved = link.upstream.as_ref().is_none_or(|before| {
            before.sha256 != upstream.sha256 || before.kernel != upstream.kernel
        });
        if moved && !link.pinned {
            link.kernel = upstream.kernel.clone();
        }
        link.upstream = Some(upstream);
    }
    if let Some(upstream) = link.upstream.as_ref().filter(|_| link.pinned)
        && upstream.kernel != link.kernel
    {
        work.report.pinned.push(Pinned {
            mode: mode.clone(),
            kernel: link.kernel.clone(),
            upstream: upstream.kernel.clone(),
        });
    }
    let there = work.local.links.get(mode);
    if there != Some(&LocalLink::Kernel(link.kernel.clone())) {
        local::set_link(work.layout, mode, &link.kernel)?;
        let to = LocalLink::Kernel(link.kernel.clone());
        work.local.links.insert(mode.clone(), to);
    }
    let from = before.map(|before| before.kernel);
    if from.as_ref() != Some(&link.kernel) {
        link.turned = work.now;
        work.report.moved.push(Moved {
            mode: mode.clone(),
            from,
            to: link.kernel.clone(),
        });
    }
    if work.manifest.links.get(mode) != Some(&link) {
        work.manifest.links.insert(mode.clone(), link);
        work.save()?;
    }
    Ok(())
}
