//! Gets one flist: from an earlier sync's staging, from the published file, or from upstream.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::digest::Md5;

use super::super::config::FlistMode;
use super::super::error::{Stop, SyncError, is_full};
use super::{Ready, Stage, StagedName, closure, is_verbatim, names};
use crate::catalog::diff::{FlistChange, Reason};
use crate::catalog::local::{listed_size, open_flist};
use crate::catalog::upstream::{Download, UpstreamError};
use crate::catalog::{FlistRef, RegularFile};
use crate::flist::{Limits, rewrite_backend};
use crate::layout::Layout;

/// How often a file that changes while it is fetched is fetched again.
const CHANGING: u32 = 3;

/// Where a verified flist is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// In the staging folder, as upstream has it.
    Staged,
    /// In its published place, in the form and with the time that it is to have.
    Published,
}

/// An flist whose bytes are upstream's.
#[derive(Debug, Clone)]
pub(in crate::sync) struct Acquired {
    source: Source,
    /// Upstream's MD5.
    pub(in crate::sync) md5: Md5,
    /// The size that upstream lists for this version.
    pub(in crate::sync) listed_size: String,
    /// The time of this version, in seconds since 1970.
    pub(in crate::sync) updated: i64,
    /// How many bytes were downloaded.
    pub(in crate::sync) downloaded: u64,
}

impl Acquired {
    /// Where the file is that was verified.
    pub(super) fn path(&self, layout: &Layout, place: &FlistRef) -> PathBuf {
        match self.source {
            Source::Staged => layout
                .staging()
                .join(StagedName::of(place).whole(&self.md5)),
            Source::Published => names::published(layout, place),
        }
    }
}

/// Why an flist could not be had from a hub.
enum Failed {
    /// The hub failed.
    Hub(UpstreamError),
    /// What came is not what the hub says it is, perhaps because it was just replaced.
    Changing(String),
    /// It is of no use to ask this hub again.
    Entry(String),
    Stop(Stop),
}

impl Stage<'_> {
    /// Gets the flist of `change`. Asks every hub in turn, as often as the policy says.
    pub(super) async fn acquire(
        &self,
        change: &FlistChange,
        known: &BTreeSet<String>,
    ) -> Result<Acquired, Stop> {
        let hubs = self.upstreams.count();
        let mut failures = 0;
        let mut changing = 0;
        loop {
            let mut last = None;
            for turn in 0..hubs {
                let hub = (self.hub + turn) % hubs;
                match self.acquire_from(hub, change, known).await {
                    Ok(acquired) => return Ok(acquired),
                    Err(Failed::Stop(stop)) => return Err(stop),
                    Err(Failed::Changing(reason)) => {
                        changing += 1;
                        last = Some((reason, changing < CHANGING));
                    }
                    Err(Failed::Entry(reason)) => {
                        last.get_or_insert((reason, false));
                    }
                    Err(Failed::Hub(error)) => {
                        let again = error.is_transient();
                        // What the preferred hub says about the flist tells more than that
                        // another one cannot be reached.
                        if last.is_none() || again {
                            last = Some((error.chain(), again));
                        }
                    }
                }
            }
            failures += 1;
            let (reason, again) = last.unwrap_or_default();
            match self.upstreams.retry().delay_after(failures) {
                Some(delay) if again => tokio::time::sleep(delay).await,
                _ => return Err(Stop::Entry(reason)),
            }
        }
    }

    async fn acquire_from(
        &self,
        hub: usize,
        change: &FlistChange,
        known: &BTreeSet<String>,
    ) -> Result<Acquired, Failed> {
        let place = &change.place;
        let name = StagedName::of(place);
        let prefix = name.prefix();
        let staged = known.range(prefix.clone()..).next();
        let staged = staged.is_some_and(|name| name.starts_with(&prefix));
        let mut expected = None;
        if staged || change.reason != Reason::New {
            // Upstream's version may already be here.
            let md5 = self.upstreams.md5_once(hub, place, self.now).await;
            let md5 = md5.map_err(Failed::Hub)?;
            if let Some(acquired) = self.acquire_here(change, md5).await? {
                return Ok(acquired);
            }
            expected = Some(md5);
        }
        self.download(hub, change, expected).await
    }

    /// The version `md5` from the staging folder or the published tree.
    async fn acquire_here(
        &self,
        change: &FlistChange,
        md5: Md5,
    ) -> Result<Option<Acquired>, Failed> {
        let layout = self.layout.clone();
        let change = change.clone();
        let record = self.records.get(&change.place).cloned();
        let mode = self.config.flists.clone();
        let now_form = mode.form();
        let work = move || -> Result<Option<Source>, SyncError> {
            let place = &change.place;
            let whole = layout.staging().join(StagedName::of(place).whole(&md5));
            match File::open(&whole).and_then(Md5::of_reader) {
                Ok(found) if found == md5 => return Ok(Some(Source::Staged)),
                Ok(_) => remove(&whole)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SyncError::io("read", &whole, error)),
            }
            let Ok((file, identity)) = open_flist(&layout.users(), &place.repository, &place.name)
            else {
                return Ok(None);
            };
            let published = names::published(&layout, place);
            let read = |error| SyncError::io("read", &published, error);
            let found = Md5::of_reader(&file).map_err(read)?;
            let as_published = match &record {
                // The published file is what was made of this version.
                Some(record) if record.md5 == md5 && record.form == now_form => {
                    found == record.file_md5
                }
                _ => is_verbatim(&mode) && found == md5,
            };
            if as_published && identity.modified.seconds == change.listed.updated {
                return Ok(Some(Source::Published));
            }
            if found != md5 {
                return Ok(None);
            }
            copy(&published, &whole)?;
            Ok(Some(Source::Staged))
        };
        let listed = &change.listed;
        let (listed_size, updated) = (listed.listed_size.clone(), listed.updated);
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(source)) => Ok(source.map(|source| Acquired {
                source,
                md5,
                listed_size,
                updated,
                downloaded: 0,
            })),
            Ok(Err(error)) => Err(Failed::Stop(Stop::All(error))),
            Err(error) => Err(Failed::Stop(Stop::All(SyncError::Panicked(error)))),
        }
    }

    /// Downloads an flist and asks for its MD5 at the same time, unless that is known.
    async fn download(
        &self,
        hub: usize,
        change: &FlistChange,
        expected: Option<Md5>,
    ) -> Result<Acquired, Failed> {
        let place = &change.place;
        let name = StagedName::of(place);
        let part = self.layout.staging().join(name.part());
        let file = create(&part).map_err(|error| Failed::Stop(Stop::All(error)))?;
        let most = self.config.limits.compressed_bytes;
        let md5 = async {
            match expected {
                Some(md5) => Ok(md5),
                None => self.upstreams.md5_once(hub, place, self.now).await,
            }
        };
        let (md5, download) =
            tokio::join!(md5, self.upstreams.download(hub, place, file, most, |_| {}),);
        let download = download.map_err(|error| match is_full(&error) {
            true => Failed::Stop(Stop::All(SyncError::Full {
                path: self.layout.root().to_owned(),
                source: Box::new(error),
            })),
            false => Failed::Hub(error),
        })?;
        let md5 = md5.map_err(Failed::Hub)?;
        if download.md5 != md5 {
            return Err(Failed::Changing(format!(
                "its MD5 is {}, but upstream says that it is {md5}",
                download.md5
            )));
        }
        let (listed_size, updated) = self.version(hub, change, &download).await?;
        let whole = self.layout.staging().join(name.whole(&md5));
        let renamed = fs::rename(&part, &whole);
        renamed.map_err(|error| Failed::Stop(Stop::All(SyncError::io("rename", &part, error))))?;
        Ok(Acquired {
            source: Source::Staged,
            md5,
            listed_size,
            updated,
            downloaded: download.size,
        })
    }

    /// The size and time under which upstream lists what was downloaded. They are those of the
    /// listing, unless the file was replaced since.
    async fn version(
        &self,
        hub: usize,
        change: &FlistChange,
        download: &Download,
    ) -> Result<(String, i64), Failed> {
        let listed: &RegularFile = &change.listed;
        let as_listed = Ok((listed.listed_size.clone(), listed.updated));
        let size = listed_size(download.size);
        if size == listed.listed_size && download.last_modified == Some(listed.updated) {
            return as_listed;
        }
        match self.upstreams.light(hub, &change.place, self.now).await {
            Ok(light) if light.updated == listed.updated => as_listed,
            // The catalogue is another hub's, and what it lists belongs together.
            Ok(_) if hub != self.hub => {
                let hub = self.upstreams.name(hub);
                Err(Failed::Entry(format!("{hub} has another version of it")))
            }
            Ok(light) if light.md5 == Some(download.md5) => Ok((size, light.updated)),
            Ok(_) => Err(Failed::Changing("it is being replaced".to_owned())),
            // A hub that does not tell: the next sync compares again.
            Err(_) => as_listed,
        }
    }
}

/// Makes the file that will be published, in its form, with its time, durable.
pub(super) fn finish(
    layout: &Layout,
    place: &FlistRef,
    acquired: Acquired,
    mode: &FlistMode,
    limits: &Limits,
) -> Result<Ready, Stop> {
    let name = StagedName::of(place);
    let path = acquired.path(layout, place);
    let (file, path) = match (acquired.source, mode) {
        (Source::Published, _) => (None, path),
        (Source::Staged, FlistMode::Verbatim) => (Some(name.whole(&acquired.md5)), path),
        (Source::Staged, FlistMode::Rewritten(backend)) => {
            let rewritten = layout.staging().join(name.rewritten());
            remove(&rewritten)?;
            let scratch = names::scratch(layout);
            rewrite_backend(&path, &rewritten, backend, limits, &scratch).map_err(closure::stop)?;
            (Some(name.rewritten()), rewritten)
        }
    };
    let failed = |operation| {
        let path = path.clone();
        move |error| SyncError::io(operation, &path, error)
    };
    let opened = File::open(&path).map_err(failed("open"))?;
    let md5 = match mode {
        FlistMode::Verbatim => acquired.md5,
        FlistMode::Rewritten(_) => Md5::of_reader(&opened).map_err(failed("read"))?,
    };
    let size = opened.metadata().map_err(failed("look at"))?.len();
    if file.is_some() {
        let seconds = u64::try_from(acquired.updated).unwrap_or(0);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        opened
            .set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(failed("set the mode of"))?;
        opened
            .set_modified(time)
            .map_err(failed("set the time of"))?;
        opened.sync_all().map_err(failed("sync"))?;
    }
    Ok(Ready {
        acquired,
        size,
        md5,
        file,
    })
}

fn create(path: &Path) -> Result<File, SyncError> {
    remove(path)?;
    // `create_new` follows no link that somebody planted.
    File::create_new(path).map_err(|error| SyncError::io("create", path, error))
}

fn remove(path: &Path) -> Result<(), SyncError> {
    atomic_file::remove_if_there(path).map_err(|error| SyncError::io("remove", path, error))
}

fn copy(from: &Path, to: &Path) -> Result<(), SyncError> {
    let failed = |error| SyncError::io("copy to", to, error);
    let mut source = File::open(from).map_err(failed)?;
    let mut target = create(to)?;
    io::copy(&mut source, &mut target).map_err(failed)?;
    Ok(())
}
